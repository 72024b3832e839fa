//! A claim across tenants: an equal part of each tenant's due rows, so that one backlog does not delay the others.

use messaging::id::TenantId;

use crate::store::StoreError;
use crate::store::database::Connection;
use crate::store::tables::value::{Row, Value};

/// A claim of these tenants' due rows. Other tenants are not locked.
pub(crate) struct OfTenants<Claim> {
    pub(crate) claim: Claim,
    pub(crate) tenants: Vec<TenantId>,
}

impl<Claim> OfTenants<Claim> {
    /// Claims from each tenant its part of a limit, rounded up, by a statement that takes a `list` made of the tenant
    /// and that part.
    pub(super) async fn claim_parts(
        &self,
        connection: &mut dyn Connection,
        sql: &'static str,
        limit: u32,
        list: impl Fn(&TenantId, u32) -> Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let tenants = u32::try_from(self.tenants.len()).unwrap_or(u32::MAX);
        let part = limit.div_ceil(tenants.max(1));
        let lists = self.tenants.iter().map(|tenant| list(tenant, part)).collect();
        Ok(connection.query(sql, lists).await?.into_iter().flatten().collect())
    }
}
