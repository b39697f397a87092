#!/bin/sh
# Makes the roles and databases of momsflow, and Metabase's own where it has a password. Runs once, as a superuser:
# the postgres image runs it on an empty volume; for a server of your own set PGHOST and PGUSER, and the passwords.
set -eu

: "${MOMSFLOW_DB_PASSWORD:?}" "${MOMSFLOW_READER_PASSWORD:?}"
export PGUSER="${PGUSER:-${POSTGRES_USER:-postgres}}"

# Passwords are read by psql itself, since arguments show in process lists.
run() {
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$@"
}

run --dbname postgres <<'SQL'
\set owner_password `printenv MOMSFLOW_DB_PASSWORD`
\set reader_password `printenv MOMSFLOW_READER_PASSWORD`
CREATE ROLE momsflow LOGIN PASSWORD :'owner_password';
CREATE ROLE momsflow_reader LOGIN CONNECTION LIMIT 50 PASSWORD :'reader_password';
-- momsflow grants the reader what it may see. These only an administrator can set.
ALTER ROLE momsflow_reader SET default_transaction_read_only = on;
ALTER ROLE momsflow_reader SET statement_timeout = '30s';
CREATE DATABASE momsflow_events OWNER momsflow TEMPLATE template0 ENCODING 'UTF8';
CREATE DATABASE momsflow_views OWNER momsflow TEMPLATE template0 ENCODING 'UTF8';
SQL

for database in momsflow_events momsflow_views; do
    # Before version 15 everybody may make tables in `public`.
    run --dbname "$database" <<'SQL'
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CREATE ON SCHEMA public TO momsflow;
SQL
done

if [ -n "${METABASE_DB_PASSWORD:-}" ]; then
    run --dbname postgres <<'SQL'
\set password `printenv METABASE_DB_PASSWORD`
CREATE ROLE metabase LOGIN PASSWORD :'password';
CREATE DATABASE metabase OWNER metabase TEMPLATE template0 ENCODING 'UTF8';
SQL
fi
