//! `windlass plot C`: the metric over the iterations.

use crate::client::Client;
use crate::error::Error;
use crate::history;
use crate::layout;
use crate::render::chart::{self, Chart};
use crate::render::text::wrap;
use crate::render::{svg, views};
use crate::session::Session;
use serde::Serialize;
use std::path::PathBuf;

/// Which campaign, and where to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// Write an SVG here; `-` is standard output [default: a plot in text]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Plot {
    campaign: String,
    metric: String,
    file: Option<String>,
    points: Vec<Point>,
}

#[derive(Serialize)]
struct Point {
    iteration: u32,
    status: &'static str,
    metric: Option<f64>,
    best: Option<f64>,
    title: String,
}

/// Draws it.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let story = history::fetch(&client, &args.campaign).await?;
    let chart = Chart::of(&story);
    let mut file = None;
    match &args.out {
        Some(path) if path.as_os_str() == "-" => return session.print(&svg::render(&chart)),
        Some(path) => {
            layout::write_file(path, svg::render(&chart).as_bytes())?;
            file = Some(path.display().to_string());
        }
        None => {}
    }
    if session.is_json() {
        let points = chart.points.into_iter().map(|point| Point {
            iteration: point.iteration,
            status: point.status.as_str(),
            metric: point.value,
            best: point.best,
            title: point.title,
        });
        let points = points.collect();
        let plot = Plot { campaign: story.campaign.to_string(), metric: chart.metric, file, points };
        return session.json("windlass.plot/1", &plot);
    }
    match file {
        Some(file) => session.say(&format!("wrote {file}")),
        None if chart.points.is_empty() => session.print("nothing is decided yet\n")?,
        None => {
            session.print(&chart::render(&chart, session.width()))?;
            let columns = usize::from(session.width());
            session.print(&format!("{}\n", wrap(&views::best(&story), columns, columns).join("\n")))?;
        }
    }
    Ok(())
}
