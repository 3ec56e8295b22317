#!/bin/sh
# Make Temporal's two databases on PostgreSQL, or bring them to this image's version; SQL_HOST, SQL_PORT, SQL_USER and SQL_PASSWORD say where.
set -eu
export SQL_PLUGIN=postgres12

bring_up() {
    export SQL_DATABASE="$1"
    temporal-sql-tool create-database
    # A database that has no version yet is numbered first; numbering one that has would start it from 0.0 again.
    temporal-sql-tool update-schema --schema-name "$2" || {
        temporal-sql-tool setup-schema -v 0.0
        temporal-sql-tool update-schema --schema-name "$2"
    }
}

bring_up temporal postgresql/v12/temporal
bring_up temporal_visibility postgresql/v12/visibility
