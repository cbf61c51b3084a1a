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

/// The formats of records, in the order in which they are asked and shown. Each line but those of the
/// containers has a parser.
macro_rules! formats {
    ($make:ident) => {
        $make! {
            // Also asked for what stands behind a head or in a message.
            text {
                Json: json,
                Logfmt: logfmt,
                Syslog: syslog,
                Access: access,
                Klog: klog,
                Log4j: log4j,
            }
            // The framing takes these apart; what is inside has a format of its own.
            container {
                Docker: docker,
                Cri: cri,
            }
            samples {
                Prometheus: prometheus,
                Statsd: statsd,
                Influx: influx,
            }
            // Asked only where the source has a header, and where no other format fits.
            last {
                Csv: csv,
                Plain: plain,
            }
        }
    };
}

/// Where bytes come from, in the order of the documentation.
macro_rules! sources {
    ($make:ident) => {
        $make! {
            Stdin: stdin,
            File: file,
            Command: command,
        }
    };
}
