//! The same expectations of every engine: of the one in memory always, of a real one
//! where `DOPRAX_TEST_ENGINE` has its address, such as `unix:///var/run/docker.sock`.
//! A real one needs the images of `tests/images`.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod contract;
mod docker_only;
mod fake_only;
mod latency;
mod proxy;
#[allow(dead_code, reason = "others use the rest")]
#[path = "../../../../tests/required.rs"]
mod required;
mod stage;

macro_rules! on_the_fake {
    ($($topic:ident: $($case:ident)*;)*) => {
        mod fake {
            $($(#[tokio::test]
            async fn $case() {
                let stage = crate::stage::Stage::fake(stringify!($case));
                stage.run(crate::contract::$topic::$case).await;
            })*)*
        }
    };
}

macro_rules! on_docker {
    ($group:ident, $cases:ident, $($topic:ident: $($case:ident)*;)*) => {
        mod $group {
            $($(#[tokio::test]
            async fn $case() {
                if let Some(stage) = crate::stage::Stage::docker(stringify!($case)) {
                    stage.run(crate::$cases::$topic::$case).await;
                }
            })*)*
        }
    };
}

macro_rules! on_both {
    ($($topic:ident: $($case:ident)*;)*) => {
        on_the_fake! { $($topic: $($case)*;)* }
        on_docker! { docker, contract, $($topic: $($case)*;)* }
    };
}

on_both! {
    engine:
        an_engine_says_what_it_is
        every_app_is_seen_by_its_own_instance
        changes_are_hinted_at;
    network:
        a_network_is_made_once
        a_container_may_be_made_before_its_network
        a_port_is_dialled_while_its_container_runs;
    container:
        a_container_goes_through_its_life
        a_missing_container_is_named
        another_container_of_the_name_is_no_success
        secrets_and_files_are_filled_in
        a_crash_is_seen_and_restarted
        one_that_crashes_again_and_again_can_be_renamed
        limits_change_while_a_container_runs
        what_a_person_does_by_hand_is_seen;
    volume:
        a_volume_has_any_name_and_outlives_containers;
    image:
        a_missing_image_is_told_apart
        an_image_has_its_ports
        an_image_is_built_from_source
        an_image_is_kept_for_a_release
        a_failed_build_shows_the_step_and_its_last_lines;
    process:
        a_command_has_input_output_and_an_exit_code
        a_log_is_read_from_its_end;
}

on_docker! { real, docker_only,
    engine:
        an_engine_that_comes_back_is_reached_again
        new_limits_are_hinted_at
        no_secret_gets_into_a_log;
    network:
        a_hostname_moves_with_the_name
        two_apps_do_not_reach_each_other;
    container:
        a_container_is_hardened_and_limited
        an_init_passes_signals_on_and_buries_orphans
        an_image_says_what_signal_ends_it
        a_creation_cut_short_is_never_taken_for_done
        a_refused_ulimit_is_left_out_and_noted
        a_foreign_container_of_the_name_is_left_alone
        how_a_process_ended_is_known_while_the_next_one_runs;
    files:
        files_leave_the_folders_of_the_image_alone
        a_file_is_whose_it_shall_be
        a_file_in_the_place_of_a_folder_is_named;
    volume:
        a_volume_that_its_user_cannot_write_is_noted
        only_volumes_without_a_name_go_with_the_container;
    image:
        a_pull_without_a_registry_ends_with_a_reason
        a_stage_is_built_with_arguments
        a_build_leaves_no_connection
        a_dropped_build_ends
        buildkits_own_syntax_works
        a_wrong_dockerfile_is_a_failed_build;
    process:
        a_process_runs_as_its_service_says
        a_volume_has_its_owner_and_keeps_what_is_in_it
        a_command_runs_as_its_user
        a_terminal_has_a_size_and_any_byte
        much_output_comes_through_in_order
        a_followed_log_goes_on_after_a_crash;
}

#[tokio::test]
#[ignore = "a measurement: run it alone, with --ignored"]
async fn latency() {
    if let Some(stage) = stage::Stage::docker("latency") {
        stage.run(latency::measure).await;
    }
}
