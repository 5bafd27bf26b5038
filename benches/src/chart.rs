//! A bar chart on a logarithmic scale, as SVG: for people.

use std::fmt::Write as _;

/// Draws one bar for each pair of label and microseconds.
pub fn bars(title: &str, rows: &[(String, f64)]) -> String {
    const LEFT: f64 = 330.0;
    const WIDTH: f64 = 520.0;
    const STEP: f64 = 26.0;
    let top = rows.iter().map(|(_, value)| *value).fold(1.0_f64, f64::max).log10().ceil();
    // From ten microseconds up.
    let x = |value: f64| LEFT + WIDTH * ((value.max(10.0).log10() - 1.0) / (top - 1.0).max(1.0));
    #[expect(clippy::cast_precision_loss, reason = "a chart has a handful of bars")]
    let height = 80.0 + STEP * rows.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"960\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"13\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/>\
         <text x=\"20\" y=\"28\" font-size=\"16\">{title}</text>\n"
    );
    let mut decade = 10.0_f64;
    while decade.log10() <= top {
        let at = x(decade);
        let label = if decade < 1000.0 { format!("{decade} µs") } else { format!("{} ms", decade / 1000.0) };
        let _ = writeln!(
            svg,
            "<line x1=\"{at}\" y1=\"44\" x2=\"{at}\" y2=\"{}\" stroke=\"#ddd\"/>\
             <text x=\"{at}\" y=\"{}\" fill=\"#777\" text-anchor=\"middle\">{label}</text>",
            height - 26.0,
            height - 10.0
        );
        decade *= 10.0;
    }
    let mut y = 50.0;
    for (label, value) in rows {
        let shown =
            if *value < 1000.0 { format!("{value:.0} µs") } else { format!("{:.2} ms", value / 1000.0) };
        let end = x(*value);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{label}</text>\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{}\" height=\"18\" fill=\"#3b6ea5\"/>\
             <text x=\"{}\" y=\"{}\">{shown}</text>",
            LEFT - 8.0,
            y + 14.0,
            (end - LEFT).max(1.0),
            end + 6.0,
            y + 14.0
        );
        y += STEP;
    }
    svg.push_str("</svg>\n");
    svg
}
