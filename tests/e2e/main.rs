//! The promises, tested end to end with real components. Each test is one promise, as its name says.

mod adoption;
mod at_rest;
mod chart;
mod crash;
mod examples;
mod export;
mod large;
mod leaders;
mod lost_response;
mod manifests;
mod opt_out;
mod outage;
mod pools;
mod push;
mod registration;
mod replicas;
mod rotation;
mod story;
mod templates;
mod tenancy;
mod twilio_sandbox;
mod uninstall;
mod webhooks;
mod window;
