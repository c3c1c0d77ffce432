//! Draws the charts that `benches/speed` wrote as JSON: `floe-plots CHARTS.json FOLDER`. Text comes from a font that is
//! compiled in, so that a picture looks the same on each machine.

use std::error::Error;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use serde::Deserialize;

type Fault = Box<dyn Error>;
type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// As `benches/speed/report.rs` writes it.
#[derive(Debug, Deserialize)]
struct Chart {
    file: String,
    title: String,
    axis: String,
    panels: Vec<Panel>,
}

#[derive(Debug, Deserialize)]
struct Panel {
    title: String,
    limit: Option<f64>,
    bars: Vec<(String, f64)>,
    curves: Vec<(String, Vec<(f64, f64)>)>,
}

const WIDTH: u32 = 1_000;
const BAR: u32 = 34;
const CURVES: u32 = 420;
const TEXT: RGBColor = RGBColor(36, 41, 47);
const GRID: RGBColor = RGBColor(208, 215, 222);
const OURS: RGBColor = RGBColor(9, 105, 218);
const OTHERS: RGBColor = RGBColor(140, 149, 159);
const GOAL: RGBColor = RGBColor(207, 34, 46);
/// Of curves, in their order.
const COLOURS: [RGBColor; 6] = [
    OURS,
    RGBColor(26, 127, 55),
    RGBColor(154, 103, 0),
    RGBColor(130, 80, 223),
    RGBColor(191, 57, 137),
    OTHERS,
];

fn main() -> Result<(), Fault> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [charts, folder] = &arguments[..] else { return Err("usage: floe-plots CHARTS.json FOLDER".into()) };
    register_font("sans", FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
        .map_err(|_| "the font that is compiled in cannot be read")?;
    let charts: Vec<Chart> = serde_json::from_slice(&fs::read(charts)?)?;
    for chart in charts {
        let path = Path::new(folder).join(format!("{}.png", chart.file));
        draw(&chart, &path)?;
        println!("{}", path.display());
    }
    Ok(())
}

fn draw(chart: &Chart, path: &Path) -> Result<(), Fault> {
    let heights: Vec<u32> = chart.panels.iter().map(height).collect();
    let size = (WIDTH, 50 + heights.iter().sum::<u32>());
    let mut pixels = vec![255; (size.0 * size.1 * 3) as usize];
    {
        let mut rest = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        rest.fill(&WHITE)?;
        rest.draw(&Text::new(chart.title.as_str(), (20, 16), text(24.0)))?;
        rest = rest.split_vertically(50).1;
        for (panel, height) in chart.panels.iter().zip(heights) {
            let (above, below) = rest.split_vertically(height);
            if panel.curves.is_empty() { bars(panel, &above)? } else { curves(panel, &chart.axis, &above)? }
            rest = below;
        }
        rest.present()?;
    }
    write(path, &pixels, size)
}

fn write(path: &Path, pixels: &[u8], (width, height): (u32, u32)) -> Result<(), Fault> {
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::High);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(())
}

fn height(panel: &Panel) -> u32 {
    if panel.curves.is_empty() { 50 + BAR * panel.bars.len() as u32 } else { CURVES }
}

fn text(size: f64) -> TextStyle<'static> {
    ("sans", size).into_font().color(&TEXT)
}

/// Lying bars, each with its name before it and its number behind.
fn bars(panel: &Panel, area: &Area<'_>) -> Result<(), Fault> {
    const LEFT: i32 = 330;
    const MOST: f64 = 560.0;
    const ABOVE: i32 = 34;
    let longest = panel.bars.iter().map(|bar| bar.1).chain(panel.limit).fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| LEFT + (value / longest * MOST) as i32;
    let bottom = ABOVE + (BAR * panel.bars.len() as u32) as i32;
    area.draw(&Text::new(panel.title.as_str(), (20, 8), text(18.0)))?;
    for (number, (name, value)) in panel.bars.iter().enumerate() {
        let y = ABOVE + (BAR * number as u32) as i32;
        let colour = if name.starts_with("floe") { OURS } else { OTHERS };
        area.draw(&Text::new(name.as_str(), (36, y + 8), text(16.0)))?;
        area.draw(&Rectangle::new([(LEFT, y + 4), (x(*value).max(LEFT + 1), y + BAR as i32 - 6)], colour.filled()))?;
        let behind = panel.limit.map_or(*value, |limit| limit.max(*value));
        area.draw(&Text::new(number_text(*value), (x(behind) + 8, y + 8), text(16.0)))?;
    }
    if let Some(limit) = panel.limit {
        area.draw(&PathElement::new([(x(limit), ABOVE), (x(limit), bottom)], GOAL.stroke_width(2)))?;
    }
    area.draw(&PathElement::new([(LEFT, ABOVE), (LEFT, bottom)], GRID.stroke_width(1)))?;
    Ok(())
}

fn number_text(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") }
}

/// Shares over a logarithmic axis.
fn curves(panel: &Panel, axis: &str, area: &Area<'_>) -> Result<(), Fault> {
    let points = || panel.curves.iter().flat_map(|curve| &curve.1).map(|point| point.0);
    let (least, most) = (points().fold(f64::MAX, f64::min), points().fold(f64::MIN_POSITIVE, f64::max));
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((least * 0.8..most * 1.2).log_scale(), 0.0..100.0)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .label_style(text(15.0))
        .x_desc(axis)
        .y_desc(format!("{}, %", panel.title))
        .draw()?;
    for (number, (name, points)) in panel.curves.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], colour.stroke_width(3)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .legend_area_size(30)
        .label_font(text(15.0))
        .background_style(WHITE)
        .border_style(GRID)
        .draw()?;
    Ok(())
}
