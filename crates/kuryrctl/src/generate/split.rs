//! Takes apart a kuryr.conf: what logs in to OpenStack, for a Secret that only the controller mounts, and all the rest.
//!
//! Lines are moved as they stand, so that comments, order and spelling of everything else stay as their author wrote them.

use std::collections::BTreeSet;

use kuryr_config::{
    Schema,
    ini::{Assignment, Document, SyntaxError},
    option::Privacy,
    options,
};

/// Who we are in OpenStack. With `password` and its like, which the options' table knows to be secret, this is a login.
const IDENTITY: [&str; 12] = [
    "username",
    "user-name",
    "user_name",
    "user_id",
    "user_domain_name",
    "user_domain_id",
    "default_domain_name",
    "default_domain_id",
    "application_credential_id",
    "application_credential_name",
    "trust_id",
    "passcode",
];
/// An option that nobody knows, and is called so, is taken for a secret.
const TELLING: [&str; 5] = ["passw", "passcode", "secret", "token", "credential"];

/// Stands where something was.
const NOTE: &str = "# The login is in the Secret kuryr-credentials, which the controller alone mounts.\n";

/// A file, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Split {
    /// What anybody may read.
    pub(crate) public: String,
    /// The rest, a file of its own. Empty if there is nothing to hide.
    pub(crate) secret: String,
    /// What was moved, as `[group] option`.
    pub(crate) moved: Vec<String>,
}

/// Takes a file apart.
pub(crate) fn split(text: &str) -> Result<Split, SyntaxError> {
    let document = Document::parse(text)?;
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.lines().collect();
    let judge = Judge { schema: options::schema(), logins: logins(&document) };
    let mut split = Split::default();
    let mut hidden = BTreeSet::new();
    for assignment in document.assignments.iter().filter(|assignment| judge.is_secret(assignment)) {
        let extent = extent(&lines, assignment.line);
        split.hide(assignment, &lines[extent.start - 1..extent.end - 1]);
        hidden.extend(extent);
    }
    let mut noted = false;
    for (number, line) in (1..).zip(&lines) {
        noted &= !line.starts_with('[');
        if hidden.contains(&number) && !noted {
            split.public += NOTE;
            noted = true;
        }
        if !hidden.contains(&number) && !judge.is_comment_with_secret(line) {
            split.public += line;
            split.public.push('\n');
        }
    }
    Ok(split)
}

struct Judge {
    schema: Schema,
    /// Groups that hold options of a login: `neutron`, and where its `auth_section` points.
    logins: Vec<String>,
}

impl Judge {
    fn is_secret(&self, assignment: &Assignment) -> bool {
        let Assignment { section, key, value, .. } = assignment;
        self.is_secret_name(section, key) || has_login(value)
    }

    fn is_secret_name(&self, section: &str, key: &str) -> bool {
        let group = section.to_lowercase();
        let is_login = self.logins.contains(&group);
        let group = if is_login { "neutron" } else { &group };
        if let Some(option) = self.schema.option(group, key) {
            return option.privacy == Privacy::Secret || (is_login && IDENTITY.contains(&key));
        }
        (is_login && IDENTITY.contains(&key)) || is_telling(key)
    }

    /// An option that was commented out, with a password still in it. What stands for no value is none.
    fn is_comment_with_secret(&self, line: &str) -> bool {
        let Some(comment) = line.strip_prefix(['#', ';']) else { return false };
        let Some((key, value)) = comment.trim_start_matches(['#', ';', ' ']).split_once(['=', ':']) else {
            return false;
        };
        let (key, value) = (key.trim(), value.trim());
        let has_secret_name =
            !key.contains(' ') && ["neutron", ""].iter().any(|group| self.is_secret_name(group, key));
        !["", "<None>"].contains(&value) && (has_secret_name || has_login(value))
    }
}

impl Split {
    fn hide(&mut self, assignment: &Assignment, lines: &[&str]) {
        let header = format!("[{}]", assignment.section);
        let current = self.secret.lines().rfind(|line| line.starts_with('['));
        if current != Some(header.as_str()) {
            let gap = if self.secret.is_empty() { "" } else { "\n" };
            self.secret.extend([gap, &header, "\n"]);
        }
        for line in lines {
            self.secret += line;
            self.secret.push('\n');
        }
        self.moved.push(format!("{header} {}", assignment.key));
    }
}

fn logins(document: &Document) -> Vec<String> {
    let is_pointer = |a: &&Assignment| a.section.eq_ignore_ascii_case("neutron") && a.key == "auth_section";
    let pointed = document.assignments.iter().filter(is_pointer).map(|a| a.value.to_lowercase());
    std::iter::once("neutron".to_owned()).chain(pointed).collect()
}

/// The lines of an assignment, from 1: its own, and the indented ones that go on with it.
fn extent(lines: &[&str], first: usize) -> std::ops::Range<usize> {
    let goes_on = |line: &&&str| line.starts_with([' ', '\t']) && !line.trim().is_empty();
    first..first + 1 + lines[first..].iter().take_while(goes_on).count()
}

fn is_telling(key: &str) -> bool {
    let key = key.to_lowercase();
    let is_path = ["_file", "_path", "_dir"].iter().any(|end| key.ends_with(end));
    !is_path && TELLING.iter().any(|word| key.contains(word))
}

/// `scheme://user:password@host`.
fn has_login(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ',', ' ']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(login, _)| login.contains(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_moved_and_everything_else_stays_as_it_was() {
        let text = "# mine\n[neutron]\nauth_url = http://keystone\n; who\nusername = kuryr\npassword: \"a b\"\n  more\n\
                    #password = old\n\n[neutron_defaults]\n  # indented lines go on\n";
        let text = text.replace("  # indented lines go on\n", "pod_subnet=x # y\n");
        let split = split(&text).unwrap();
        assert_eq!(
            split.public,
            format!(
                "# mine\n[neutron]\nauth_url = http://keystone\n; who\n{NOTE}\n[neutron_defaults]\npod_subnet=x # y\n"
            )
        );
        assert_eq!(split.secret, "[neutron]\nusername = kuryr\npassword: \"a b\"\n  more\n");
        assert_eq!(split.moved, ["[neutron] username", "[neutron] password"]);
    }

    #[test]
    fn a_login_elsewhere_is_found_too() {
        let text = "[neutron]\nauth_section = Cloud\n[cloud]\npassword=p\nusername=u\nauth_url=a\n[nova]\nadmin_password=q\n\
                    [DEFAULT]\ntransport_url=rabbit://u:p@h:1/\n[kubernetes]\ntoken_file=/t\n[x]\nsecret_file=/s\n";
        let split = split(text).unwrap();
        let moved =
            ["[cloud] password", "[cloud] username", "[nova] admin_password", "[DEFAULT] transport_url"];
        assert_eq!(split.moved, moved);
        assert_eq!(
            split.public,
            format!(
                "[neutron]\nauth_section = Cloud\n[cloud]\n{NOTE}auth_url=a\n[nova]\n{NOTE}[DEFAULT]\n{NOTE}\
                 [kubernetes]\ntoken_file=/t\n[x]\nsecret_file=/s\n"
            )
        );
    }

    #[test]
    fn both_halves_together_say_what_the_whole_said() {
        let text =
            "[a]\nx=1\n[neutron]\r\npassword=one\r\n[a]\ny=2\n[neutron]\npassword=two\n\tthree\nusername=u";
        let split = split(text).unwrap();
        let read = |text: &str| {
            let assignments = Document::parse(text).unwrap().assignments;
            assignments.into_iter().map(|a| (a.section, a.key, a.value)).collect::<Vec<_>>()
        };
        let mut whole = read(text);
        let mut halves = [read(&split.public), read(&split.secret)].concat();
        whole.sort();
        halves.sort();
        assert_eq!(halves, whole);
        assert!(!split.public.contains("two") && !split.public.contains("three"));
    }

    #[test]
    fn the_sample_is_left_alone() {
        let sample = kuryr_config::docs::sample(&options::schema());
        let split = split(&sample).unwrap();
        assert_eq!((split.public, split.moved), (sample, vec![]));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        assert_eq!(split("[a]\nnonsense").unwrap_err().line, 2);
    }
}
