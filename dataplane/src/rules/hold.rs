//! What must not go on for now, known to every replica: what a person has paused, and what failed for everybody.

use messaging::id::TenantId;

use super::Operation;
use crate::store::Command;
use crate::store::group::Halt;
use crate::store::group::rows::Rows;
use crate::store::hold::{LiftHold, PutHold};
use crate::store::tables::holds::HoldRow;

impl Command for PutHold {
    type Answer = ();
}

impl Operation for PutHold {
    fn tenant(&self) -> &TenantId {
        &self.hold.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<(), Halt> {
        let hold = &self.hold;
        let key = (hold.tenant.clone(), hold.scope.to_string(), hold.kind.as_str().to_owned());
        let known = rows.holds.get(&key)?;
        let until = match known {
            // Replicas learn of one failure at different times; none of them shortens what another knows.
            Some(known) if !hold.kind.is_of_a_person() => known.until.max(hold.until),
            Some(_) | None => hold.until,
        };
        let row = HoldRow { until, reason: hold.reason.clone(), created_at: hold.created_at };
        rows.holds.put(key, row);
        rows.bells.queue = true;
        Ok(())
    }
}

impl Command for LiftHold {
    type Answer = bool;
}

impl Operation for LiftHold {
    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn run(&self, rows: &mut Rows) -> Result<bool, Halt> {
        let key = (self.tenant.clone(), self.scope.to_string(), self.kind.as_str().to_owned());
        let there = rows.holds.get(&key)?.is_some();
        rows.holds.remove(&key);
        rows.bells.queue = true;
        Ok(there)
    }
}
