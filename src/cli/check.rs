//! `weir check`: everything for which `weir run` would refuse a configuration, from what it does at its
//! start. Nothing is opened or sent, and no state is touched. With `--plan` also what a run would do.

mod plan;
pub mod promise;

use crate::cli::args::{CheckArgs, Format};
use crate::cli::check::plan::Page;
use crate::cli::{config, output};
use crate::config::load::Loaded;
use crate::config::problem::Problems;
use crate::error::{Failure, exit};
use crate::plan::setup::{self, Purpose};
use crate::process::diagnostics;

pub fn run(args: CheckArgs) -> Result<u8, Failure> {
    let checked = config::load(&args.config).and_then(|loaded| {
        let setup = setup::setup(&loaded, Purpose::Check, args.state.clone());
        let others = of_others(&args, &loaded);
        match setup {
            Ok(setup) if others.is_empty() => Ok((loaded, setup)),
            Ok(_) => Err(others),
            Err(mut problems) => {
                problems.join(others);
                Err(problems.in_order())
            }
        }
    });
    let (loaded, setup) = match checked {
        Ok(checked) => checked,
        Err(problems) => {
            match args.format.output {
                // For programs both answers are on standard output.
                Format::Json => {
                    output::write_escaped(format!("{}\n", problems.json()).into_bytes())?
                }
                Format::Text => {
                    config::refuse(&problems);
                }
            }
            return Ok(exit::CONFIGURATION);
        }
    };
    let page = args.plan.then(|| Page::of(&loaded, &setup));
    match args.format.output {
        Format::Json => {
            let mut answer = serde_json::json!({
                "ok": true,
                "problems": [],
                "left_out": 0,
                "notes": setup.notes,
            });
            if let Some(page) = &page {
                answer["plan"] = serde_json::json!(page);
            }
            output::write_escaped(format!("{answer}\n").into_bytes())?;
        }
        Format::Text => {
            setup.notes.iter().for_each(|note| diagnostics::say(note));
            let text = page.map_or_else(|| "ok\n".to_owned(), |page| page.text());
            output::write(None, config::plain(&text))?;
        }
    }
    Ok(0)
}

/// What is wrong in the environments that were not chosen. One that cannot be loaded here is passed over:
/// it may want variables that are set where it runs, and the mistakes that it has for all that were
/// found before.
fn of_others(args: &CheckArgs, loaded: &Loaded) -> Problems {
    let mut problems = Problems::default();
    for name in loaded.environments() {
        if loaded.environment() == Some(name) {
            continue;
        }
        let files = &args.config.config;
        let Ok(other) = config::load_files(files, Some(name)) else {
            continue;
        };
        if let Err(found) = setup::setup(&other, Purpose::Check, None) {
            problems.join(found);
        }
    }
    problems.in_order()
}
