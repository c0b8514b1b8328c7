//! Many hosts on one store, with stale reads, conflicts, commits made whole or write by write, and crashes between any
//! two writes: no address is ever given twice, and after recovery none is lost.
//!
//! `CALICO_OPS=1000000` sets how many operations are simulated; `CALICO_SEED=n` runs one world only.

mod store;
mod world;

use world::World;

const OPERATIONS_PER_WORLD: u64 = 500;

#[expect(
    clippy::disallowed_methods,
    reason = "a test is told by its environment how long to run"
)]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn no_address_is_given_twice_and_none_is_lost() {
    let operations = number("CALICO_OPS").unwrap_or(10_000);
    let worlds = match number("CALICO_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..operations.div_ceil(OPERATIONS_PER_WORLD),
    };
    let (mut crashes, mut refused, mut given) = (0, 0, 0);
    for seed in worlds.clone() {
        eprintln!("world {seed}");
        let mut world = World::new(seed);
        world.run(OPERATIONS_PER_WORLD);
        (crashes, refused, given) = (
            crashes + world.crashes,
            refused + world.refused,
            given + world.given,
        );
        world.settle();
    }
    let operations = (worlds.end - worlds.start) * OPERATIONS_PER_WORLD;
    println!(
        "{operations} operations, {given} addresses given, {refused} requests refused, {crashes} crashes"
    );
    assert!(given > 0 && crashes > 0 && refused > 0 || operations < 5_000);
}
