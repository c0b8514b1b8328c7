//! nf_tables against the kernel: what is written is read back equal, and what another hand spoils is repaired exactly.

mod nft;

use dataplane::nft::{ObservedTable, Ruleset, TableId, diff};
use linux::nft::{Guard, Nftables};

use crate::nft::rulesets::{self, Random};
use crate::nft::{in_namespace, nft};

fn observe(kernel: &mut Nftables) -> ObservedTable {
    kernel
        .observe(&TableId::ours())
        .expect("the table can be read")
        .0
}

/// Applies the difference and checks that what the kernel holds is what was desired.
fn converge(kernel: &mut Nftables, desired: &Ruleset, seed: u64) -> usize {
    let observed = observe(kernel);
    let batch = diff(desired, &observed);
    if let Err(error) = kernel.apply(&batch, Guard::Any) {
        panic!("seed {seed}: {error}\n{desired}");
    }
    let after = observe(kernel);
    let again = diff(desired, &after);
    assert!(
        again.is_empty(),
        "seed {seed}: a second comparison wants {:#?}\n{desired}",
        again.ops
    );
    assert_eq!(
        after.ruleset().to_string(),
        desired.to_string(),
        "seed {seed}"
    );
    assert_eq!(&after.ruleset(), desired, "seed {seed}");
    batch.ops.len()
}

#[test]
fn random_rulesets_read_back_equal() {
    in_namespace(|| {
        let mut kernel = Nftables::open().expect("nf_tables opens");
        for seed in 0..200 {
            let desired = rulesets::ruleset(&mut Random(seed));
            converge(&mut kernel, &desired, seed);
        }
    });
}

#[test]
fn printed_rulesets_are_what_nft_takes() {
    in_namespace(|| {
        for seed in 0..60 {
            let text = rulesets::ruleset(&mut Random(seed)).to_string();
            if let Err(complaint) = nft(&["-c", "-f", "-"], &text) {
                panic!("seed {seed}: {complaint}\n{text}");
            }
        }
    });
}
