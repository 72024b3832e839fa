//! Reads the metrics that a process serves.

use anyhow::Result;

/// The value of a metric, summed over its series whose labels contain all of `labels`. Zero without such a series.
pub async fn sum(url: &str, name: &str, labels: &[&str]) -> Result<f64> {
    let text = reqwest::get(url).await?.error_for_status()?.text().await?;
    let lines = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    });
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}
