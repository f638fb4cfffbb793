//! `mkimage`: builds bootable Linux images from signed packages, boots them and tests them.
//!
//! One module a stage, in the order of the pipeline: [`manifest`] → [`packages`] (lock, fetch, unpack) →
//! [`configured`] → [`layers`] → [`check`] → [`initramfs`] → [`build`] (write) → [`upkeep`] → [`boot`]. What a stage may
//! touch is in ARCHITECTURE.md. The program is [`cli`] and little else; boot tests use the stages directly.

pub mod boot;
pub mod build;
pub mod check;
pub mod cli;
pub mod configured;
mod files;
pub mod guest;
pub mod initramfs;
mod kernel;
pub mod layers;
pub mod manifest;
pub mod packages;
pub mod programs;
pub mod tools;
pub mod ui;
pub mod unpacked;
pub mod upkeep;
pub mod world;
