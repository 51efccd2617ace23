"""The ledger of promises, rows 49 to 75: which tests prove each, and that they are there to be run."""

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LEDGER = TESTS.parents[1] / "shared" / "PROMISES.md"
PROVED_BY = {
    49: (
        "pipelines/remove/test_remove.py::test_a_removed_sample_is_gone_and_all_others_are_as_they_were",
        "pipelines/remove/test_later_runs.py::test_a_new_run_keeps_it_out",
        "pipelines/remove/test_on_store.py::test_the_way_that_is_told_works",
    ),
    50: ("pipelines/remove/test_later_runs.py::test_its_copy_is_in_no_committed_tar",),
    51: (
        "pipelines/test_full_disk.py::test_a_disk_that_is_full_at_any_write_ends_the_run_cleanly_and_it_resumes",
        "crawler/test_crawl_disk.py::test_a_full_disk_ends_the_crawl_at_once_and_it_is_taken_up_again",
        "pipelines/test_run_on_store.py::test_a_store_that_refuses_a_write_ends_the_run",
    ),
    52: ("test_kill_sweep.py::test_files_are_on_disk_under_their_names_before_their_record_is",),
    53: (
        "test_kill_sweep.py::test_death_at_every_lasting_call_changes_no_byte",
        "test_random_kills.py::test_whatever_dies_and_whenever_the_release_is_the_same",
        "pipelines/test_run_on_store.py::test_a_run_that_is_killed_at_any_request_ends_elsewhere_in_the_same_bytes",
    ),
    54: (
        "pipelines/test_verify_run.py::test_a_flipped_bit_in_any_file_of_a_stage_is_found",
        "pipelines/test_runner.py::test_a_part_whose_file_is_damaged_is_done_again_alone",
    ),
    55: ("shards/test_parts.py::test_a_record_whose_file_is_damaged_is_not_whole",),
    56: (
        "shards/test_lease.py::test_a_second_run_is_told_who_holds_the_folder",
        "pipelines/test_run_on_store.py::test_a_second_run_is_told_who_holds_the_url",
        "pipelines/test_runner.py::test_a_run_that_lost_its_folder_commits_nothing_more",
    ),
    57: ("pipelines/test_launch.py::test_a_changed_source_is_refused_and_a_changed_rule_is_not",),
    58: (
        "pipelines/test_vanished_folder.py::test_a_folder_that_vanishes_ends_the_run_cleanly_and_it_resumes",
        "shards/test_storage.py::test_a_fault_of_the_disk_names_the_file_and_says_that_the_run_resumes",
    ),
    59: (
        "shards/test_tars.py::test_a_member_of_another_name_is_refused",
        "shards/test_tars.py::test_a_foreign_tar_is_refused_by_its_names",
    ),
    60: ("test_kills.py::test_a_run_killed_once_in_every_stage_releases_the_same_bytes",),
    61: ("pipelines/cluster/test_worker_oom.py::test_a_row_that_eats_its_worker_s_memory_is_set_aside_alone",),
    62: (
        "filters/clip/test_scorer.py::test_batch_is_halved_until_it_fits_the_gpu",
        "filters/clip/test_torch_towers.py::test_gpu_that_cannot_be_used_is_told_and_not_replaced",
    ),
    63: (
        "test_cluster_kills.py::test_a_node_then_the_driver_then_the_head_may_die",
        "test_cluster_kills.py::test_so_they_may_with_the_output_in_an_object_store",
    ),
    64: ("test_cluster_kills.py::test_a_node_then_the_driver_then_the_head_may_die",),
    65: (
        "shards/test_parts.py::test_the_second_attempt_gets_the_first_one_s_record",
        "pipelines/cluster/test_second_runs.py"
        "::test_a_part_that_hangs_is_made_again_elsewhere_and_the_first_call_is_ended",
    ),
    66: (
        "pipelines/test_workers.py::test_nothing_of_ray_listens_beyond_loopback",
        "test_cluster_kills.py::test_a_driver_without_the_token_is_told_so",
        "infra/test_kuberay.py::test_clusters_ask_for_a_token_and_nothing_is_offered_to_the_outside",
    ),
    67: ("filters/clip/test_heads.py::test_file_that_holds_no_weights_is_refused_and_never_run",),
    68: (
        "shards/test_tars.py::test_headers_hold_nothing_of_the_machine_or_the_moment",
        "pipelines/test_release_bytes.py::test_a_release_is_the_same_bytes_in_another_locale_zone_seed_and_folder",
    ),
    69: (
        "dedup/test_groups.py::test_groups_do_not_depend_on_the_order_of_rows",
        "dedup/test_groups.py::test_survivor_is_who_the_recipe_keeps_ties_by_uid",
    ),
    70: ("test_end_to_end.py::test_every_candidate_is_accounted_for",),
    71: ("test_kills.py::test_a_new_measure_reads_stored_copies_and_sends_no_request",),
    72: ("pipelines/test_broken_recipes.py::test_a_broken_recipe_ends_plainly_and_makes_nothing",),
    73: ("pipelines/test_strict_yaml.py::test_a_recipe_of_a_gigabyte_is_not_read",),
    74: (
        "pipelines/test_bad_input.py::test_a_file_that_cannot_be_read_ends_with_65_and_nothing_is_made",
        "pipelines/test_bad_input.py::test_each_bad_row_ends_with_its_reason_and_none_is_lost",
    ),
    75: ("pipelines/test_broken_recipes.py::test_a_folder_that_is_not_ours_is_left_alone",),
}
"""By row: a file below tests/, and a test in it. What is missing in a proof is told in the documents, not here."""


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_row_is_proved() -> None:
    assert sorted(PROVED_BY) == list(range(49, 76))
    assert all(PROVED_BY.values())


@pytest.mark.parametrize("row", PROVED_BY)
def test_the_proofs_are_there(row: int) -> None:
    named = [proof.partition("::") for proof in PROVED_BY[row]]
    assert [name for file, _, name in named if name not in functions_of(file)] == []


def test_every_row_is_in_the_ledger() -> None:
    if not LEDGER.exists():
        pytest.skip("shared test data is missing")
    text = LEDGER.read_text("utf-8")
    assert [row for row in PROVED_BY if f"\n| {row} |" not in text] == []
