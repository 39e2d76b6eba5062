# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a cluster has, read with one query for the cluster and one for each database that matters."""

from __future__ import annotations

import typing as t

from .psql import Psql

# Settings of all databases, in one form: {"": [...], "database": [...]}, each "name=value"
CLUSTER = """
SELECT json_build_object(
  'standby', pg_is_in_recovery(),
  'version', current_setting('server_version_num')::int,
  'iterations', coalesce(current_setting('scram_iterations', true), '4096')::int,
  'roles', (SELECT coalesce(json_object_agg(rolname, json_build_object(
      'login', rolcanlogin, 'superuser', rolsuper, 'createdb', rolcreatedb, 'createrole', rolcreaterole,
      'replication', rolreplication, 'bypassrls', rolbypassrls, 'inherit', rolinherit,
      'connection_limit', rolconnlimit, 'verifier', rolpassword,
      'valid_until', CASE WHEN isfinite(rolvaliduntil)
        THEN to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END,
      'settings', (SELECT setconfig FROM pg_db_role_setting WHERE setrole = a.oid AND setdatabase = 0))), '{}')
    FROM pg_authid a),
  'memberships', (SELECT coalesce(json_agg(json_build_object(
      'role', r.rolname, 'member', m.rolname, 'admin', g.admin, 'inherit', g.inherit, 'set', g.set)), '[]')
    FROM (SELECT roleid, member, bool_or(admin_option) AS admin, bool_or(inherit_option) AS inherit,
            bool_or(set_option) AS set FROM pg_auth_members GROUP BY roleid, member) g
    JOIN pg_authid r ON r.oid = g.roleid JOIN pg_authid m ON m.oid = g.member),
  'databases', (SELECT coalesce(json_object_agg(d.datname, json_build_object(
      'owner', pg_get_userbyid(d.datdba), 'encoding', pg_encoding_to_char(d.encoding), 'locale', d.datcollate,
      'connection_limit', d.datconnlimit, 'connects', d.datallowconn,
      'settings', (SELECT setconfig FROM pg_db_role_setting WHERE setrole = 0 AND setdatabase = d.oid),
      'acl', (SELECT json_agg(json_build_array(CASE WHEN grantee = 0 THEN 'public' ELSE pg_get_userbyid(grantee) END,
          lower(privilege_type), is_grantable)) FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba)))))), '{}')
    FROM pg_database d))
"""

_ACL = """(SELECT json_agg(json_build_array(CASE WHEN grantee = 0 THEN 'public' ELSE pg_get_userbyid(grantee) END,
          lower(privilege_type), is_grantable)) FROM aclexplode(%s))"""
_DATABASE = """
SELECT json_build_object(
  'extensions', (SELECT coalesce(json_object_agg(extname, json_build_object(
      'version', extversion, 'schema', n.nspname)), '{}')
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace),
  'schemas', (SELECT coalesce(json_object_agg(nspname, json_build_object(
      'owner', pg_get_userbyid(nspowner), 'acl', SCHEMA_ACL)), '{}') FROM pg_namespace),
  'relations', (SELECT coalesce(json_agg(json_build_object(
      'schema', n.nspname, 'name', c.relname, 'type', CASE WHEN c.relkind = 'S' THEN 'sequence' ELSE 'table' END,
      'acl', RELATION_ACL)), '[]')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname = ANY (WANTED_SCHEMAS)),
  'functions', (SELECT coalesce(json_agg(json_build_object(
      'schema', n.nspname, 'name', p.oid::regprocedure::text, 'type', 'function', 'acl', FUNCTION_ACL,
      'plain', p.proname, 'arguments', pg_get_function_arguments(p.oid), 'returns', pg_get_function_result(p.oid),
      'body', p.prosrc, 'language', l.lanname, 'definer', p.prosecdef, 'owner', pg_get_userbyid(p.proowner),
      'settings', p.proconfig)), '[]')
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
    WHERE n.nspname = ANY (WANTED_SCHEMAS)),
  'defaults', (SELECT coalesce(json_agg(json_build_object(
      'owner', pg_get_userbyid(defaclrole), 'schema', coalesce(n.nspname, ''), 'type', defaclobjtype,
      'acl', DEFAULT_ACL)), '[]')
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace))
"""
DATABASE = (
    _DATABASE.replace("SCHEMA_ACL", _ACL % "coalesce(nspacl, acldefault('n', nspowner))")
    .replace(
        "RELATION_ACL",
        _ACL % "coalesce(c.relacl, acldefault(CASE WHEN c.relkind = 'S' THEN 's' ELSE 'r' END::\"char\", c.relowner))",
    )
    .replace("FUNCTION_ACL", _ACL % "coalesce(p.proacl, acldefault('f', p.proowner))")
    .replace("DEFAULT_ACL", _ACL % "defaclacl")
)
NEW_DATABASE: dict[str, t.Any] = {
    "extensions": {},
    "schemas": {"public": {"owner": "pg_database_owner", "acl": [["public", "usage", False]]}},
    "relations": [],
    "functions": [],
    "defaults": [],
}


def read_cluster(psql: Psql) -> dict[str, t.Any]:
    return psql.query("postgres", CLUSTER)


def read_database(psql: Psql, database: str, schemas: list[str], quote: t.Callable[[str], str]) -> dict[str, t.Any]:
    """What functions and grants are compared with is read only for the schemas that are named."""
    wanted = "ARRAY[" + ", ".join(map(quote, schemas)) + "]::name[]"
    # Without a search path every function is written with its schema.
    return psql.query(database, "SET search_path = '';" + DATABASE.replace("WANTED_SCHEMAS", wanted))
