//! What a receipt does not cover and what could still go wrong, in sentences for people (`docs/receipts.md` §5).

use super::predicate::{
    Assurance, GatewayOutcome, Horizon, InventoryStatus, Mode, Predicate, ProviderAssurance,
    PurgeStatus, Stage,
};
use crate::text::Text;

pub(super) const VERIFICATION_METHOD: &str = "ciphertexts made under the destroyed and the current root epoch \
    tried before and after the destruction; backup restored and every key in it opened and compared with its commitment";

pub(super) fn not_covered(predicate: &Predicate) -> Vec<Text> {
    let mut lines = vec![
        "Object names, tags, sizes and times of change that the stores keep outside the ciphertext.",
        "Copies of objects that were read in plaintext before the tenant was fenced: downloads, caches, logs and \
         backups of applications.",
        "Keys that somebody with control of a gateway's memory or of the root provider copied before the destruction.",
    ];
    match predicate.stage {
        Stage::Revoked => {
            lines.push("The destruction of the keys: until the stage erased, whoever holds the root can undo this stage.");
            lines.push("The ciphertext: it is still in the stores.");
        }
        Stage::Erased => lines.push("The ciphertext: it is still in the stores, without a key."),
        Stage::Purged => lines.push(
            "What a store keeps of deleted ciphertext: its own replicas, snapshots, backups and free disk blocks.",
        ),
    }
    lines.into_iter().map(Text::lossy).collect()
}

pub(super) fn residual_risks(predicate: &Predicate) -> Vec<Text> {
    let mut lines = vec![
        "The statement is the issuer's: it shows what the issuer's programs observed, and a dishonest operator could \
         have run other programs beside them."
            .to_owned(),
    ];
    if predicate.termination.mode == Mode::Dev {
        lines.push("A development deployment: one approver was enough.".to_owned());
    }
    let expired = predicate.fences.iter().flat_map(|fence| &fence.gateways);
    let expired = expired.filter(|gateway| gateway.outcome == GatewayOutcome::Expired);
    match expired.count() {
        0 => {}
        count => lines.push(format!(
            "{count} times a gateway did not answer a fence; that it dropped its keys rests on its own timer."
        )),
    }
    if let Some(root) = &predicate.root {
        lines.push(provider_risk(root.assurance).to_owned());
    }
    match (predicate.root_backup_horizon, predicate.assurance) {
        (Some(Horizon::Unknown), _) => lines.push(
            "Nobody said when the last copy of the root provider expires: whoever has such a copy and a backup of the \
             key store from before the erasure can bring the keys back."
                .to_owned(),
        ),
        (Some(Horizon::At(time)), Some(Assurance::Logical)) => lines.push(format!(
            "Until {time} there may be a copy of the root provider: with it and a backup of the key store from before \
             the erasure, the keys can be brought back."
        )),
        (Some(Horizon::At(time)), _) => lines.push(format!(
            "That no copy of the root provider from before the erasure is kept after {time} is the operator's word."
        )),
        (None, _) => {}
    }
    if let Some(inventory) = &predicate.inventory
        && inventory.status == InventoryStatus::Partial
    {
        lines.push(
            "The inventory is partial; the erasure is not: it covers every object under the keys."
                .to_owned(),
        );
    }
    if let Some(purge) = &predicate.purge
        && purge.status == PurgeStatus::Held
    {
        lines.push(format!(
            "Stores hold {} object versions, without a key: until their locks end, or under names that can't be asked for.",
            purge.held_objects
        ));
    }
    lines.iter().map(|line| Text::lossy(line)).collect()
}

fn provider_risk(assurance: ProviderAssurance) -> &'static str {
    match assurance {
        ProviderAssurance::Software => {
            "The root was a file that was overwritten and deleted: disks, file systems and snapshots may keep older \
             blocks of it."
        }
        ProviderAssurance::Service => {
            "The root was in a service that does not hand keys out; its storage, snapshots and unseal keys are in its \
             operator's hands."
        }
        ProviderAssurance::Hardware => {
            "That the root never left its hardware rests on the hardware's maker and configuration."
        }
    }
}
