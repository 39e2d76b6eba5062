-- Copyright: the chainops.infra authors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

-- Reads which methods a JSON-RPC body calls, without building its values.
--
-- The rule it keeps: for every body that a node accepts, it sees the methods that the node sees. Whatever could be
-- read in two ways (a key given twice, in another case, a second document after the first) is refused, not guessed at.
-- It is more lenient than JSON only where every node refuses the body anyway (a number like 1.2.3, `[}`): skipping
-- parameters then costs a search for the next bracket or quote instead of a parse. Nothing here knows HAProxy.

local M = {}

local byte, char, find, gsub, lower, sub = string.byte, string.char, string.find, string.gsub, string.lower, string.sub

local QUOTE, COMMA, COLON, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST = 34, 44, 58, 123, 125, 91, 93

-- The members of a call. Go's decoder also takes them in another case, so they are compared in lower case.
local MEMBERS = { jsonrpc = true, id = true, method = true, params = true }

local ESCAPES = {
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}

-- No allowed name has this byte: what is not ASCII can then never be taken for one.
local FOREIGN = "\255"

local DEPTH_LIMIT = 64
local ID_LIMIT = 128

local function skip_space(text, position)
  return find(text, "[^ \t\r\n]", position) or #text + 1
end

-- The position of the quote that ends the string which begins at `position`, or nil.
local function string_end(text, position, plain)
  if plain then
    return find(text, '"', position + 1, true)
  end
  position = position + 1
  while true do
    local at = find(text, '["\\]', position)
    if not at or byte(text, at) == QUOTE then
      return at
    end
    position = at + 2
  end
end

-- The last position of the object or list which begins at `position`, or nil and why.
local function container_end(text, position, plain)
  local depth = 0
  while true do
    local at = find(text, '["%[%]{}]', position)
    if not at then
      return nil, "unfinished"
    end
    local symbol = byte(text, at)
    if symbol == QUOTE then
      at = string_end(text, at, plain)
      if not at then
        return nil, "unfinished"
      end
    elseif symbol == OPEN or symbol == OPEN_LIST then
      depth = depth + 1
      if depth > DEPTH_LIMIT then
        return nil, "nested too deeply"
      end
    else
      depth = depth - 1
      if depth == 0 then
        return at
      end
    end
    position = at + 1
  end
end

local function value_end(text, position, plain)
  local first = byte(text, position)
  if first == QUOTE then
    return string_end(text, position, plain), "unfinished"
  end
  if first == OPEN or first == OPEN_LIST then
    return container_end(text, position, plain)
  end
  local _, last = find(text, "^[%w+.-]+", position)
  return last, "not a value"
end

-- What a string says: the text between its quotes with the escapes undone, or nil when one is wrong.
local function decode(raw)
  if not find(raw, "\\", 1, true) then
    return raw
  end
  local wrong = false
  local text = gsub(raw, "\\(.)(%x?%x?%x?%x?)", function(symbol, digits)
    if symbol == "u" and #digits == 4 then
      local code = tonumber(digits, 16)
      return code < 128 and char(code) or FOREIGN
    end
    local plain = ESCAPES[symbol]
    if not plain then
      wrong = true
      return ""
    end
    return plain .. digits
  end)
  if wrong then
    return nil
  end
  return text
end

-- An id as it can be repeated in an answer; null where it is unusual or too long to be. (The class in the second
-- pattern is printable ASCII without the quote and the backslash.)
local function read_id(raw)
  if #raw <= ID_LIMIT and (find(raw, "^-?%d+$") or find(raw, '^"[]-~ !#-[]*"$')) then
    return raw
  end
  return "null"
end

local function read_call(text, position, plain)
  local call, seen = { id = "null" }, {}
  position = skip_space(text, position + 1)
  if byte(text, position) == CLOSE then
    return nil, "a call without a method"
  end
  while true do
    if byte(text, position) ~= QUOTE then
      return nil, "a member's name is not a string"
    end
    local last = string_end(text, position, plain)
    local key = last and decode(sub(text, position + 1, last - 1))
    if not key then
      return nil, "a member's name is not readable"
    end
    position = skip_space(text, last + 1)
    if byte(text, position) ~= COLON then
      return nil, "a member without a value"
    end
    position = skip_space(text, position + 1)
    local why
    last, why = value_end(text, position, plain)
    if not last then
      return nil, why
    end
    key = lower(key)
    if MEMBERS[key] then
      if seen[key] then
        return nil, "the member " .. key .. " is given twice"
      end
      seen[key] = true
      if key == "method" then
        call.method = byte(text, position) == QUOTE and decode(sub(text, position + 1, last - 1)) or nil
        if not call.method then
          return nil, "the method is not a string"
        end
      elseif key == "id" then
        call.id = read_id(sub(text, position, last))
      end
    end
    position = skip_space(text, last + 1)
    local symbol = byte(text, position)
    if symbol == CLOSE then
      if not call.method then
        return nil, "a call without a method"
      end
      return call, position + 1
    elseif symbol ~= COMMA then
      return nil, "unfinished"
    end
    position = skip_space(text, position + 1)
  end
end

local function read_batch(text, position, plain, limit)
  local calls = {}
  position = skip_space(text, position + 1)
  if byte(text, position) == CLOSE_LIST then
    return nil, "an empty batch"
  end
  while true do
    if byte(text, position) ~= OPEN then
      return nil, "a batch holds something other than calls"
    end
    if #calls == limit then
      return nil, "more than " .. limit .. " calls in a batch"
    end
    local call, after = read_call(text, position, plain)
    if not call then
      return nil, after
    end
    calls[#calls + 1] = call
    position = skip_space(text, after)
    local symbol = byte(text, position)
    if symbol == CLOSE_LIST then
      return calls, position + 1
    elseif symbol ~= COMMA then
      return nil, "unfinished"
    end
    position = skip_space(text, position + 1)
  end
end

-- The calls of a body: a list of {method, id}, and whether they came as a batch. Or nil and why not.
-- `id` is JSON text, ready to be put into an answer.
function M.read(text, batch_limit)
  local plain = not find(text, "\\", 1, true)
  local position = skip_space(text, 1)
  local first = byte(text, position)
  local calls, after
  if first == OPEN then
    local call
    call, after = read_call(text, position, plain)
    calls = call and { call }
  elseif first == OPEN_LIST then
    calls, after = read_batch(text, position, plain, batch_limit)
  else
    return nil, "neither a call nor a batch"
  end
  if not calls then
    return nil, after
  end
  if skip_space(text, after) <= #text then
    return nil, "more than one document"
  end
  return calls, first == OPEN_LIST
end

-- Text as a JSON string. What is not plain ASCII becomes a question mark: it was sent to be repeated, not to be shown.
function M.quote(text)
  return '"' .. gsub(gsub(text, "[^ -~]", "?"), '["\\]', "\\%0") .. '"'
end

function M.failure(id, code, message)
  return '{"jsonrpc":"2.0","id":' .. id .. ',"error":{"code":' .. code .. ',"message":' .. M.quote(message) .. "}}"
end

return M
