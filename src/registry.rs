//! The one page that lists every component. There is no second list.
//!
//! A list is a macro that hands its lines to the macro that it is given. So the room of the components makes
//! its modules, enums and calls from the list, and this page uses no room. A line is `Variant: file,`: the
//! file's name is the name in the configuration.
//!
//! `cargo fmt` does not find files that a list names; the tests look at their form, and `rustfmt FILE` mends
//! it.

/// Where alerts are sent, in the order of the documentation.
macro_rules! channels {
    ($make:ident) => {
        $make! {
            Stdout: stdout,
            File: file,
            Webhook: webhook,
            Slack: slack,
            PagerDuty: pagerduty,
            Alertmanager: alertmanager,
            Email: email,
            Command: command,
        }
    };
}

/// Where lines, summaries and alerts are written, in the order of the documentation.
macro_rules! sinks {
    ($make:ident) => {
        $make! {
            Stdout: stdout,
            File: file,
            Http: http,
            Prometheus: prometheus,
        }
    };
}
