mod conservation;
mod failover;
mod isolation;
