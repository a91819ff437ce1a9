//! The same expectations of every engine: of the one in memory always, of a real one
//! where `DOPRAX_TEST_ENGINE` has its address, such as `unix:///var/run/docker.sock`.
//! A real one needs the images of `tests/images`.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod cases;
mod stage;

macro_rules! contract {
    ($($case:ident)*) => {
        mod fake {
            $(#[tokio::test]
            async fn $case() {
                crate::stage::Stage::fake(stringify!($case)).run(crate::cases::$case).await;
            })*
        }

        mod docker {
            $(#[tokio::test]
            async fn $case() {
                if let Some(stage) = crate::stage::Stage::docker(stringify!($case)) {
                    stage.run(crate::cases::$case).await;
                }
            })*
        }
    };
}

contract! {
    an_engine_says_what_it_is
    a_network_is_made_once
    a_volume_has_any_name_and_outlives_containers
    a_container_goes_through_its_life
    a_missing_container_is_named
    another_container_of_the_name_is_no_success
    a_missing_image_is_told_apart
    an_image_has_its_ports
    secrets_and_files_are_filled_in
    a_command_has_input_output_and_an_exit_code
    a_log_is_read_from_its_end
    a_crash_is_seen_and_restarted
    every_app_is_seen_by_its_own_instance
    changes_are_hinted_at
    an_image_is_built_from_source
    a_failed_build_shows_the_step_and_its_last_lines
}
