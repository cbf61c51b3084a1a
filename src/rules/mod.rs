//! When a rule holds, and whom that is told: alert life, grouping and routing.

pub mod life;
pub mod mask;
pub mod routing;
