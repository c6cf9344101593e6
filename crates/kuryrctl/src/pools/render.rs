//! Pools for people.

use std::{io::Write, time::Duration};

use anyhow::Result;
use kuryr_api::pool::{ByHand, Changes, FreePort, NodePool, Part, Pools};

pub(super) fn list(all: &Pools, out: &mut impl Write) -> Result<()> {
    let head = ["NODE", "PODS", "FREE", "TARGET", "WARM", "BY HAND"].map(str::to_owned);
    let rows = all.pools.iter().map(|pool| {
        let [pods, free, target] = [pool.pods, pool.free, pool.target].map(|number| number.to_string());
        let warm = pool.warm.map_or_else(|| "-".to_owned(), |warm| warm.to_string());
        let by_hand = pool.by_hand.map(called).unwrap_or_default().to_owned();
        [pool.node.clone(), pods, free, target, warm, by_hand]
    });
    table(&[head].into_iter().chain(rows).collect::<Vec<_>>(), out)
}

/// The Python Kuryr's pools.
pub(super) fn keys(all: &Pools, out: &mut impl Write) -> Result<()> {
    writeln!(out, "Pools:")?;
    for part in all.pools.iter().flat_map(|pool| pool.parts.iter().flatten()) {
        writeln!(out, "{} has {} ports", serde_json::to_string(&part.key)?, part.ports.len())?;
    }
    Ok(())
}

pub(super) fn show(pool: &NodePool, out: &mut impl Write) -> Result<()> {
    let NodePool { node, pods, free, target, .. } = pool;
    writeln!(out, "node      {node}")?;
    writeln!(out, "pods      {pods}")?;
    writeln!(out, "free      {free}, of {target} that are to be")?;
    if let Some(warm) = pool.warm {
        writeln!(out, "warm      {warm} are wired")?;
    }
    if let Some(by_hand) = pool.by_hand {
        writeln!(out, "by hand   {}: {}", called(by_hand), meaning(by_hand))?;
    }
    let Some(parts) = &pool.parts else {
        return Ok(writeln!(out, "ports     not told by a KuryrNode, but by the controller's socket")?);
    };
    parts.iter().try_for_each(|part| ports(part, out))
}

pub(super) fn changes(changes: &Changes, done: &str, out: &mut impl Write) -> Result<()> {
    for change in &changes.pools {
        let failure = change.failure.as_ref().map(|why| format!(", and no more: {why}")).unwrap_or_default();
        let ports = if change.ports == 1 { "port" } else { "ports" };
        writeln!(out, "{}: {} {ports} {done}{failure}", change.node, change.ports)?;
    }
    Ok(())
}

fn ports(part: &Part, out: &mut impl Write) -> Result<()> {
    writeln!(out, "\nkey       {}", serde_json::to_string(&part.key)?)?;
    let head = ["PORT", "ADDRESSES", "MAC", "VLAN", "FREE FOR"].map(str::to_owned);
    let row = |port: &FreePort| {
        let addresses: Vec<_> = port.addresses.iter().map(ToString::to_string).collect();
        let vlan = port.vlan.map_or_else(|| "-".to_owned(), |vlan| vlan.to_string());
        [port.id.to_string(), addresses.join(","), port.mac.clone(), vlan, time(port.idle)]
    };
    table(&[head].into_iter().chain(part.ports.iter().map(row)).collect::<Vec<_>>(), out)
}

fn called(by_hand: ByHand) -> &'static str {
    match by_hand {
        ByHand::Filled => "filled",
        ByHand::Emptied => "emptied",
    }
}

fn meaning(by_hand: ByHand) -> &'static str {
    match by_hand {
        ByHand::Filled => "what is too many stays for a while",
        ByHand::Emptied => "none is kept ready until a pod comes",
    }
}

/// As kubectl writes ages.
fn time(seconds: u64) -> String {
    let time = Duration::from_secs(seconds);
    match time.as_secs() {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Columns as wide as what stands in them, three blanks apart.
fn table<const N: usize>(rows: &[[String; N]], out: &mut impl Write) -> Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{}", cells.join("   ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuryr_api::pool::{Change, Key};

    fn text(write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn pool(node: &str, by_hand: Option<ByHand>, parts: Option<Vec<Part>>) -> NodePool {
        NodePool { node: node.to_owned(), pods: 7, free: 13, target: 13, warm: Some(12), by_hand, parts }
    }

    fn part(vlan: Option<u16>) -> Part {
        let port = FreePort {
            id: "4913fbde".into(),
            mac: "fa:16:3e:00:00:01".to_owned(),
            addresses: vec!["10.1.0.7".parse().unwrap(), "fd10::7".parse().unwrap()],
            vlan,
            idle: 150,
        };
        Part {
            key: Key("node1".to_owned(), "project".to_owned(), ["group".into()].into()),
            ports: vec![port],
        }
    }

    #[test]
    fn pools_are_a_table() {
        let silent = NodePool { warm: None, ..pool("node1", None, None) };
        let all = Pools { pools: vec![silent, pool("node-12", Some(ByHand::Emptied), None)] };
        assert_eq!(
            text(|out| list(&all, out)),
            "NODE      PODS   FREE   TARGET   WARM   BY HAND\n\
             node1     7      13     13       -\n\
             node-12   7      13     13       12     emptied\n"
        );
    }

    #[test]
    fn a_pool_is_shown_port_by_port_where_its_ports_are_known() {
        let shown = text(|out| show(&pool("node1", Some(ByHand::Filled), Some(vec![part(Some(3))])), out));
        assert_eq!(
            shown,
            "node      node1\n\
             pods      7\n\
             free      13, of 13 that are to be\n\
             warm      12 are wired\n\
             by hand   filled: what is too many stays for a while\n\
             \n\
             key       [\"node1\",\"project\",[\"group\"]]\n\
             PORT       ADDRESSES          MAC                 VLAN   FREE FOR\n\
             4913fbde   10.1.0.7,fd10::7   fa:16:3e:00:00:01   3      2m\n"
        );
        assert!(
            text(|out| show(&pool("node1", None, None), out)).ends_with("but by the controller's socket\n")
        );
        assert!(
            text(|out| show(&pool("node1", None, Some(vec![part(None)])), out)).contains("   -      2m\n")
        );
    }

    #[test]
    fn keys_and_changes_are_lines() {
        let all = Pools { pools: vec![pool("node1", None, Some(vec![part(None)]))] };
        assert_eq!(text(|out| keys(&all, out)), "Pools:\n[\"node1\",\"project\",[\"group\"]] has 1 ports\n");
        let change = |ports, failure| Change { node: "node1".to_owned(), ports, failure };
        let all = Changes { pools: vec![change(1, None), change(3, Some("quota".to_owned()))] };
        assert_eq!(
            text(|out| changes(&all, "made", out)),
            "node1: 1 port made\nnode1: 3 ports made, and no more: quota\n"
        );
    }
}
