//! The promises, kept end to end on real parts. Each test is one promise; its name says which.

mod at_rest;
mod chart;
mod crash;
mod examples;
mod lost_response;
mod manifests;
mod opt_out;
mod outage;
mod replicas;
mod story;
mod templates;
mod tenancy;
mod webhooks;
mod window;
