"""Session variables by what setting them can bring about. One that is not listed is refused where
anything is masked: an unknown limit may end a statement depending on how much is stored.

Reviewed against the session variables of MariaDB 10.11 and MySQL 9.7.
"""

from __future__ import annotations

from querykeep_engines.kit.lexing import word_set

HARMLESS = word_set("""
    alter_algorithm analyze_max_length analyze_sample_percentage aria_repair_threads
    aria_sort_buffer_size aria_stats_method auto_increment_increment auto_increment_offset
    autocommit big_tables block_encryption_mode bulk_insert_buffer_size character_set_client
    character_set_collations character_set_connection character_set_database
    character_set_filesystem character_set_results character_set_server check_constraint_checks
    collation_connection collation_database collation_server column_compression_threshold
    column_compression_zlib_level column_compression_zlib_strategy column_compression_zlib_wrap
    completion_type cost_model cte_max_recursion_depth deadlock_search_depth_long
    deadlock_search_depth_short deadlock_timeout_long deadlock_timeout_short
    default_collation_for_utf8mb4 default_regex_flags default_storage_engine
    default_table_encryption default_tmp_storage_engine default_week_format
    div_precision_increment end_markers_in_json eq_range_index_dive_limit
    expensive_subquery_limit explain_format explain_json_format_version
    explicit_defaults_for_timestamp foreign_key_checks generated_random_password_length
    group_concat_max_len group_replication_consistency histogram_generation_max_mem_size
    histogram_size histogram_type identity idle_readonly_transaction_timeout
    idle_transaction_timeout idle_write_transaction_timeout in_predicate_conversion_threshold
    information_schema_stats_expiry innodb_alter_copy_bulk innodb_compression_default
    innodb_ddl_buffer_size innodb_ddl_threads innodb_default_encryption_key_id
    innodb_ft_enable_stopword innodb_lock_wait_timeout innodb_parallel_read_threads
    innodb_snapshot_isolation innodb_strict_mode innodb_table_locks insert_id
    interactive_timeout internal_tmp_mem_storage_engine join_buffer_size
    join_buffer_space_limit join_cache_level keep_files_on_create last_insert_id lc_messages
    lc_time_names lock_wait_timeout log_queries_not_using_indexes log_slow_admin_statements
    log_slow_disabled_statements log_slow_filter log_slow_max_warnings
    log_slow_min_examined_row_limit log_slow_query log_slow_query_time log_slow_rate_limit
    log_slow_verbosity log_warnings long_query_time low_priority_updates max_delayed_threads
    max_error_count max_execution_time max_heap_table_size max_insert_delayed_threads
    max_length_for_sort_data max_open_cursors max_points_in_geometry max_recursive_iterations
    max_rowid_filter_size max_seeks_for_key max_sort_length max_sp_recursion_depth
    max_statement_time max_tmp_tables mhnsw_ef_search min_examined_row_limit mrr_buffer_size
    myisam_repair_threads myisam_sort_buffer_size myisam_stats_method net_read_timeout
    net_retry_count net_write_timeout note_verbosity old_alter_table old_mode old_passwords
    optimizer_adjust_secondary_key_costs optimizer_disk_read_cost optimizer_disk_read_ratio
    optimizer_disk_setup_cost optimizer_extra_pruning_depth optimizer_index_block_copy_cost
    optimizer_join_limit_pref_ratio optimizer_key_compare_cost optimizer_key_copy_cost
    optimizer_key_lookup_cost optimizer_key_next_find_cost optimizer_max_sel_arg_weight
    optimizer_max_sel_args optimizer_max_subgraph_pairs optimizer_prune_level
    optimizer_record_context optimizer_row_copy_cost optimizer_row_lookup_cost
    optimizer_row_next_find_cost optimizer_rowid_compare_cost optimizer_rowid_copy_cost
    optimizer_scan_setup_cost optimizer_search_depth optimizer_selectivity_sampling_limit
    optimizer_switch optimizer_trace_max_mem_size optimizer_use_condition_selectivity
    optimizer_where_cost parser_max_mem_size preload_buffer_size print_identified_with_as_hex
    query_alloc_block_size query_cache_size query_cache_strip_comments query_cache_type
    query_cache_wlock_invalidate query_prealloc_size rand_seed1 rand_seed2 range_alloc_block_size
    range_optimizer_max_mem_size read_buffer_size read_rnd_buffer_size
    restrict_fk_on_non_standard_key rowid_merge_buff_size secondary_engine_cost_threshold
    select_into_buffer_size select_into_disk_sync select_into_disk_sync_delay
    session_track_gtids session_track_schema session_track_state_change
    session_track_system_variables session_track_transaction_info set_operations_buffer_size
    show_create_table_skip_secondary_engine show_create_table_verbosity
    show_gipk_in_create_table_and_information_schema show_old_temporals slow_query_log
    sql_auto_is_null sql_buffer_result sql_generate_invisible_primary_key sql_if_exists sql_mode
    sql_notes sql_quote_show_create sql_require_primary_key sql_safe_updates sql_select_limit
    sql_warnings storage_engine system_versioning_alter_history system_versioning_asof
    system_versioning_insert_history tcp_nodelay terminology_use_previous thread_pool_priority
    time_zone timestamp tmp_memory_table_size tmp_table_size transaction
    transaction_alloc_block_size
    transaction_allow_batching transaction_isolation transaction_prealloc_size
    transaction_read_only tx_isolation tx_read_only unique_checks updatable_views_with_limit
    use_stat_tables wait_timeout windowing_use_high_precision wsrep_causal_reads
    wsrep_dirty_reads wsrep_retry_autocommit wsrep_sync_wait xa_detach_on_prepare
    """)
"""Nothing that another statement answers depends on stored values through these."""

LIMITS = word_set("""
    connection_memory_chunk_size connection_memory_limit global_connection_memory_tracking
    max_join_size max_session_mem_used max_tmp_session_space_usage sql_big_selects
    tmp_disk_table_size
    """)
"""A statement ends with an error depending on how much it reads, or would read."""

TRACES = word_set("optimizer_trace profiling debug debug_dbug optimizer_trace_features")
"""Statements leave behind what they read; harmless when they are switched off."""

REPLICATION = word_set("""
    binlog_alter_two_phase binlog_annotate_row_events binlog_direct_non_transactional_updates
    binlog_format binlog_row_event_fragment_threshold binlog_row_image binlog_row_value_options
    binlog_rows_query_log_events binlog_transaction_compression
    binlog_transaction_compression_level_zstd default_master_connection gtid_domain_id gtid_next
    gtid_seq_no immediate_server_version max_relay_log_size original_commit_timestamp
    original_server_version pseudo_replica_mode pseudo_slave_mode pseudo_thread_id rbr_exec_mode
    require_row_format server_id skip_parallel_replication skip_replication sql_log_bin
    sql_log_off sql_slave_skip_counter wsrep_gtid_seq_no wsrep_on wsrep_osu_method
    wsrep_trx_fragment_size wsrep_trx_fragment_unit log_slow_slave_statements
    log_slow_replica_statements slave_connections_needed_for_purge
    """)
"""What others replicate or what a log keeps."""

REFUSED = word_set("""
    enable_cascade_triggers enable_secondary_engine_statistics enforce_storage_engine
    external_table_secondary_storage_engine external_table_storage_engine
    innodb_ft_user_stopword_table innodb_tmpdir log_disabled_statements max_allowed_packet
    max_user_connections net_buffer_length new_mode old optimizer_trace_limit
    optimizer_trace_offset profiling_history_size progress_report_time redirect_url
    resultset_metadata standard_compliant_cte transaction_stats use_secondary_engine
    """)
"""Looked at, and not to be set: they name files or tables, show progress in rows, hide metadata,
or change how queries are read."""

LEAST_SORT_BUFFER = 262_144
"""``sort_buffer_size`` below this makes sorting fail depending on the length of values."""
