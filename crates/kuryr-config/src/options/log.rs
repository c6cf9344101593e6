//! `[DEFAULT]`: the log, and what the original's libraries left there.

use std::path::{Path, PathBuf};

use super::group;

const ONE_FORMAT: &str = "a line of the log has one format, or is JSON with use_json";
const ELSEWHERE: &str = "what runs the program takes its standard error and sends it where logs go";
const ROTATION: &str = "what runs the program, or logrotate, keeps logs small";
const PYTHON: &str = "it belongs to Python";
const DOCKER: &str = "it belongs to Kuryr for Docker";

group! {
    /// The log.
    "DEFAULT" Default {
        /// Whether the log tells details.
        debug: bool = preset("false");
        /// File to log to. Without it and `log_dir`, standard error.
        log_file: Option<PathBuf> = deprecated(&[("", "logfile")]);
        /// Directory of `log_file`. Alone, the file in it is called after the program.
        log_dir: Option<PathBuf> = deprecated(&[("", "logdir")]);
        /// Whether to log to standard error even if there is a file.
        use_stderr: bool = preset("false");
        /// Whether each line of the log is a JSON object.
        use_json: bool = preset("false");
    }
    known {
        /// Python's configuration of logs.
        log_config_append: String = obsolete(PYTHON) deprecated(&[("", "log-config"), ("", "log_config")]);
        /// How a time looks in the log.
        log_date_format: String = preset("%Y-%m-%d %H:%M:%S") obsolete("times in the log are RFC 3339");
        /// Whether to log to syslog.
        use_syslog: bool = preset("false") obsolete(ELSEWHERE);
        /// Facility of syslog.
        syslog_log_facility: String = preset("LOG_USER") obsolete(ELSEWHERE);
        /// Whether to log to the journal.
        use_journal: bool = preset("false") obsolete(ELSEWHERE);
        /// Whether a file that is moved away is made anew.
        watch_log_file: bool = preset("false") obsolete(ROTATION);
        /// Whether lines are coloured.
        log_color: bool = preset("false") obsolete("lines are coloured on a terminal, and nowhere else");
        /// How often a log is begun anew.
        log_rotate_interval: u32 = preset("1") obsolete(ROTATION);
        /// Unit of `log_rotate_interval`.
        log_rotate_interval_type: String = preset("days") obsolete(ROTATION);
        /// How many old logs are kept.
        max_logfile_count: u32 = preset("30") obsolete(ROTATION);
        /// At what size a log is begun anew.
        max_logfile_size_mb: u32 = preset("200") obsolete(ROTATION);
        /// When a log is begun anew.
        log_rotation_type: String = preset("none") obsolete(ROTATION);
        /// Format of a line that belongs to a request.
        logging_context_format_string: String = obsolete(ONE_FORMAT);
        /// Format of a line.
        logging_default_format_string: String = obsolete(ONE_FORMAT);
        /// What debug adds to a line.
        logging_debug_format_suffix: String = obsolete(ONE_FORMAT);
        /// What a line of a traceback begins with.
        logging_exception_prefix: String = obsolete(ONE_FORMAT);
        /// Format of a user in a line.
        logging_user_identity_format: String = obsolete(ONE_FORMAT);
        /// Levels of the logs of Python's libraries.
        default_log_levels: Vec<String> = obsolete("it names libraries of Python; RUST_LOG sets levels here");
        /// Whether errors are published as notifications.
        publish_errors: bool = preset("false") obsolete(PYTHON);
        /// Format of a VM in a line.
        instance_format: String = obsolete(ONE_FORMAT);
        /// Format of a VM's id in a line.
        instance_uuid_format: String = obsolete(ONE_FORMAT);
        /// Over how many seconds lines are counted to hold some back.
        rate_limit_interval: u32 = preset("0") obsolete("no line is held back");
        /// How many lines of that time are let through.
        rate_limit_burst: u32 = preset("0") obsolete("no line is held back");
        /// From which level lines are let through anyway.
        rate_limit_except_level: String = preset("CRITICAL") obsolete("no line is held back");
        /// Whether the use of something deprecated is an error.
        fatal_deprecations: bool = preset("false") obsolete(PYTHON);
        /// Where the original's Python files are.
        pybasedir: String = obsolete(PYTHON);
        /// Where kuryr-lib's scripts are.
        bindir: String = preset("/usr/libexec/kuryr") obsolete(DOCKER);
        /// How names of kuryr-lib's subnet pools begin.
        subnetpool_name_prefix: String = preset("kuryrPool") obsolete(DOCKER);
        /// Whether kuryr-lib runs on VMs.
        deployment_type: String = preset("baremetal") obsolete(DOCKER);
    }
}

impl Default {
    /// The file that a program of that name logs to, if to any.
    pub fn log_path(&self, program: &str) -> Option<PathBuf> {
        let dir = self.log_dir.as_deref().unwrap_or_else(|| Path::new(""));
        let named = self.log_file.as_ref().map(|file| dir.join(file));
        named.or_else(|| self.log_dir.as_ref().map(|dir| dir.join(format!("{program}.log"))))
    }
}
