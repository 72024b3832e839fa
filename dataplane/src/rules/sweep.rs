//! How far the log of each provider's account has been read: one replica at a time reads on from there.

use messaging::clock::after;
use messaging::id::TenantId;

use super::Operation;
use crate::store::Command;
use crate::store::group::Halt;
use crate::store::group::rows::Rows;
use crate::store::queue::Fenced;
use crate::store::sweep::{ClaimSweep, FinishSweep, SweepClaim};
use crate::store::tables::sweeps::SweepRow;

impl Command for ClaimSweep {
    type Answer = Option<SweepClaim>;
}

impl Operation for ClaimSweep {
    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Option<SweepClaim>, Halt> {
        let Self { tenant, account, now, every, owner } = self;
        let key = (tenant.clone(), account.clone());
        let known = rows.sweeps.get(&key)?.cloned();
        let (swept_until, fence) = match known {
            Some(sweep) if sweep.available_at > *now => return Ok(None),
            Some(sweep) => (sweep.swept_until, sweep.fence + 1),
            None => (None, 1),
        };
        let available_at = after(*now, *every);
        let claimed = SweepRow { swept_until, available_at, fence, owner: Some(owner.clone()) };
        rows.sweeps.put(key, claimed);
        Ok(Some(SweepClaim { tenant: tenant.clone(), account: account.clone(), fence, swept_until }))
    }
}

impl Command for FinishSweep {
    type Answer = Fenced;
}

impl Operation for FinishSweep {
    fn tenant(&self) -> &TenantId {
        &self.claim.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<Fenced, Halt> {
        let Self { claim, swept_until } = self;
        let key = (claim.tenant.clone(), claim.account.clone());
        let Some(held) = rows.sweeps.get(&key)?.filter(|sweep| sweep.fence == claim.fence).cloned() else {
            return Ok(Fenced::LeaseLost);
        };
        let swept_until = (*swept_until).max(held.swept_until);
        let finished = SweepRow { swept_until, owner: None, fence: held.fence + 1, ..held };
        rows.sweeps.put(key, finished);
        Ok(Fenced::Done)
    }
}
