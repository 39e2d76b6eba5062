-- Copyright: the chainops.infra authors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

-- The action ethereum_calls: judges a request's body by /etc/haproxy/lua/ethereum_policy.lua and sets
--   txn.rpc_calls    what is called, for the log: a method, or "batch(7)"
--   txn.rpc_id       the id to answer with when HAProxy itself answers
--   txn.rpc_class    short, call or long: how long its answer may take, and so which backend gets it
--   txn.rpc_write    true when it sends a transaction
--   txn.rpc_refusal  the body of the refusal, when it is refused; txn.rpc_status is its HTTP status

local jsonrpc = require("jsonrpc")
local policy = require("ethereum_policy")

local find, match = string.find, string.match

local ORDER = { short = 1, call = 2, long = 3 }

local PARSE_ERROR, INVALID_REQUEST, NO_SUCH_METHOD = -32700, -32600, -32601

local function allowed(method)
  local namespace = match(method, "^(%l[%l%d]*)_%w+$")
  return namespace ~= nil and policy.namespaces[namespace] ~= nil and policy.refused[method] == nil
end

-- Clients know "method not found" and fall back (from a filter to polling, say), so a refused method is answered as
-- a node without it would answer: HTTP 200, error -32601. A batch is refused whole, each of its calls with an answer.
local function refusal(calls, batch)
  local offending
  local answers = {}
  for index, call in ipairs(calls) do
    if not allowed(call.method) then
      offending = offending or call.method:sub(1, 64)
      answers[index] = jsonrpc.failure(call.id, NO_SUCH_METHOD, "the method " .. call.method:sub(1, 64) .. " is not available here")
    end
  end
  if not offending then
    return nil
  end
  if not batch then
    return answers[1]
  end
  for index, call in ipairs(calls) do
    answers[index] = answers[index]
      or jsonrpc.failure(call.id, INVALID_REQUEST, "not done: the batch also calls " .. offending .. ", which is not available here")
  end
  return "[" .. table.concat(answers, ",") .. "]"
end

local function class_of(calls)
  local class = #calls > policy.batch_short and "call" or "short"
  local write = false
  for _, call in ipairs(calls) do
    local own = policy.classes[call.method] or "long"
    if own == "write" then
      write, own = true, "short"
    end
    if ORDER[own] > ORDER[class] then
      class = own
    end
  end
  return class, write
end

local function judge(txn)
  local body = txn.f:req_body() or ""
  local calls, batch = jsonrpc.read(body, policy.batch_limit)
  if not calls then
    txn:set_var("txn.rpc_calls", "unreadable")
    txn:set_var("txn.rpc_status", 400)
    txn:set_var("txn.rpc_refusal", jsonrpc.failure("null", PARSE_ERROR, "not accepted as JSON-RPC: " .. batch))
    return
  end
  -- A name is logged only when it looks like one.
  local name = calls[1].method
  if #name > 64 or find(name, "[^%w_]") then
    name = "unnamed"
  end
  txn:set_var("txn.rpc_calls", batch and ("batch(" .. #calls .. ")") or name)
  txn:set_var("txn.rpc_id", batch and "null" or calls[1].id)
  local refused = refusal(calls, batch)
  if refused then
    txn:set_var("txn.rpc_status", 200)
    txn:set_var("txn.rpc_refusal", refused)
    return
  end
  local class, write = class_of(calls)
  txn:set_var("txn.rpc_class", class)
  txn:set_var("txn.rpc_write", write)
end

core.register_action("ethereum_calls", { "http-req" }, judge, 0)
