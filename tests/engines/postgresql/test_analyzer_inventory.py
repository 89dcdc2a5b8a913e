"""Every node type of the grammar is handled, refused by name, or never made by the parser.

A new version of the grammar fails this test until someone decides what its new nodes mean.
"""

from __future__ import annotations

from postgast import pg_query_pb2 as pb

from querykeep_engines.postgresql.analysis import definitions, expressions, utility

# Nodes of PostgreSQL's later stages (analysis, planning): the raw parser never makes them.
_NOT_RAW = """
alias var param aggref window_func window_func_run_condition subscripting_ref func_expr op_expr
distinct_expr null_if_expr scalar_array_op_expr sub_plan alternative_sub_plan field_select
field_store relabel_type coerce_via_io array_coerce_expr convert_rowtype_expr collate_expr
case_test_expr array_expr row_compare_expr json_constructor_expr json_expr json_table_path
json_table_path_scan json_table_sibling_join coerce_to_domain coerce_to_domain_value
next_value_expr inference_elem returning_expr target_entry range_tbl_ref from_expr
on_conflict_expr query range_tbl_entry rtepermission_info range_tbl_function table_sample_clause
with_check_option sort_group_clause window_clause row_mark_clause merge_action inline_code_block
call_context int_list oid_list atalter_constraint table_func
"""
NOT_RAW = frozenset(_NOT_RAW.split())
# Read by the handler of the node that holds them.
_PARTS = """
range_var into_clause case_when type_name a_star a_indices multi_assign_ref sort_by window_def
range_subselect range_function range_table_func range_table_func_col range_table_sample json_table
json_table_column join_expr column_def table_like_clause index_elem def_elem locking_clause
partition_elem partition_spec partition_bound_spec partition_range_datum partition_cmd
grouping_set with_clause infer_clause on_conflict_clause ctesearch_clause ctecycle_clause
common_table_expr merge_when_clause returning_option returning_clause trigger_transition
json_output json_argument json_table_path_spec json_key_value json_format json_returning
json_value_expr json_behavior raw_stmt set_operation_stmt alter_table_cmd object_with_args
access_priv constraint create_op_class_item stats_elem function_parameter vacuum_relation
publication_table publication_obj_spec role_spec integer float boolean string bit_string
json_agg_constructor
"""
PARTS = frozenset(_PARTS.split())
# Only inside function bodies and PL/pgSQL, which are not walked: refused by name at the top level.
REFUSED = frozenset({"return_stmt", "plassign_stmt"})


def test_every_node_type_is_decided() -> None:
    handled = {
        *expressions.HANDLERS,
        *utility.HANDLERS,
        *utility.QUERIES,
        *definitions.HANDLERS,
    }
    decided = handled | NOT_RAW | PARTS | REFUSED
    known = {field.name for field in pb.Node.DESCRIPTOR.fields}
    assert known - decided == set()
    assert decided - known == set()


def test_no_node_type_is_decided_twice() -> None:
    handled = {*expressions.HANDLERS, *utility.HANDLERS, *utility.QUERIES, *definitions.HANDLERS}
    assert handled & (NOT_RAW | PARTS | REFUSED) == set()
