//! Works out the schema of the settings, so that the plugin need not.

#[allow(dead_code, unreachable_pub)]
#[path = "src/lib.rs"]
mod plugin;

fn main() {
    doprax_sdk::build::<plugin::MongoDb>();
}
