"""CatalogIndex: the catalog arranged by the names under which this server finds things."""

from __future__ import annotations

from querykeep_engines.kit.lexing import word_set
from querykeep_engines.mysql.analysis.lineage import IDENTITY, Lineage, NamedColumn
from querykeep_engines.mysql.analysis.sizes import is_binary, size_of
from querykeep_guard.contracts.catalog import Catalog, Constraint, Relation
from querykeep_guard.sql.facts import ColumnName, ColumnOrigin, RelationName

INFORMATION_SCHEMA = "information_schema"
REFUSED_SCHEMAS = frozenset({"mysql", "performance_schema", "sys"})
_PERFORMANCE_ALLOWED = word_set("session_variables global_variables session_connect_attrs")
_INFORMATION_ALLOWED = word_set("""
    administrable_role_authorizations all_plugins applicable_roles character_sets check_constraints
    collations collation_character_set_applicability columns columns_extensions column_privileges
    enabled_roles engines events files geometry_columns global_variables
    key_caches key_column_usage keywords optimizer_costs parameters partitions plugins
    referential_constraints resource_groups role_column_grants role_routine_grants
    role_table_grants routines schemata schemata_extensions schema_privileges sequences
    session_variables spatial_ref_sys sql_functions statistics st_geometry_columns
    st_spatial_reference_systems st_units_of_measure system_variables tables tablespaces
    tablespaces_extensions tables_extensions table_constraints table_constraints_extensions
    table_privileges triggers user_attributes user_privileges views view_routine_usage
    view_table_usage
    """)
SIZED_TABLES = frozenset({"tables", "partitions", "files", "tablespaces", "statistics"})
SIZE_COLUMNS = word_set("""
    table_rows avg_row_length data_length max_data_length index_length data_free checksum
    update_time check_time auto_increment max_index_length free_extents total_extents file_size
    allocated_size cardinality
    """)


def is_refused_system(schema: str, name: str) -> bool:
    """True for system relations that hold statistics, other people's statements or accounts."""
    schema, name = schema.lower(), name.lower()
    if schema == INFORMATION_SCHEMA:
        return name not in _INFORMATION_ALLOWED
    if schema == "performance_schema":
        return name not in _PERFORMANCE_ALLOWED
    return schema in REFUSED_SCHEMAS


def is_system_schema(schema: str) -> bool:
    """True for the server's own schemas."""
    return schema.lower() in REFUSED_SCHEMAS or schema.lower() == INFORMATION_SCHEMA


TEMPORARY_TABLE = "temporary_table"
"""Kind of a relation that a session made and told of; no catalog has one."""


def own_columns(relation: Relation) -> tuple[NamedColumn, ...]:
    """Return a relation's columns, each its own only source."""
    return tuple(
        NamedColumn(
            column.name,
            column.name.lower(),
            Lineage(
                frozenset({ColumnName(relation.schema, relation.name, column.name)}),
                IDENTITY,
                size_of(column.type_name),
                ColumnOrigin(schema=relation.schema, table=relation.name, column=column.name),
                is_binary(column.type_name),
            ),
        )
        for column in relation.columns
    )


class CatalogIndex:
    """One catalog by name. Table names fold as ``lower_case_table_names`` says."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        settings = dict(catalog.settings)
        self.folds = settings.get("lower_case_table_names", "0") not in ("", "0")
        self._relations = {
            (self.fold_schema(r.schema), self.fold(r.schema, r.name)): r for r in catalog.relations
        }
        self._columns: dict[RelationName, tuple[NamedColumn, ...]] = {}
        self._referencing: dict[RelationName, list[tuple[Relation, Constraint]]] | None = None

    def fold_schema(self, schema: str) -> str:
        """Return a schema's name as it is compared."""
        if self.folds or schema.lower() == INFORMATION_SCHEMA:
            return schema.lower()
        return schema

    def fold(self, schema: str, name: str) -> str:
        """Return a table's name as it is compared."""
        return name.lower() if self.folds or schema.lower() == INFORMATION_SCHEMA else name

    def relation(self, schema: str, name: str) -> Relation | None:
        """Return the relation of a name, or None."""
        return self._relations.get((self.fold_schema(schema), self.fold(schema, name)))

    def base_columns(self, relation: Relation) -> tuple[NamedColumn, ...]:
        """Return a table's own columns, each its own only source."""
        name = RelationName(relation.schema, relation.name)
        found = self._columns.get(name)
        if found is None:
            found = own_columns(relation)
            self._columns[name] = found
        return found

    def referencing(self, relation: Relation) -> list[tuple[Relation, Constraint]]:
        """Return the tables whose foreign keys point at a table, with their constraints."""
        if self._referencing is None:
            self._referencing = {}
            for other in self.catalog.relations:
                for constraint in other.constraints:
                    if constraint.kind == "foreign_key":
                        target = self.relation(
                            constraint.ref_schema or other.schema, constraint.ref_table
                        )
                        if target is not None:
                            key = RelationName(target.schema, target.name)
                            self._referencing.setdefault(key, []).append((other, constraint))
        return self._referencing.get(RelationName(relation.schema, relation.name), [])
