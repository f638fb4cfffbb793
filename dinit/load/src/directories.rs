//! Where descriptions are looked for unless somebody says otherwise.

/// The service directories of a system instance, in the order of the search.
pub const SYSTEM: [&str; 4] = ["/etc/dinit.d", "/run/dinit.d", "/usr/local/lib/dinit.d", "/lib/dinit.d"];

/// The service directories that all users share, in the order of the search.
pub const SHARED_BY_USERS: [&str; 3] =
    ["/etc/dinit.d/user", "/usr/lib/dinit.d/user", "/usr/local/lib/dinit.d/user"];

/// Lists the service directories of a system instance.
pub fn of_system() -> Vec<Vec<u8>> {
    SYSTEM.iter().map(|path| path.as_bytes().to_vec()).collect()
}

/// Lists the service directories of a user's instance.
///
/// `config_home` is the value of `XDG_CONFIG_HOME`; `home` is that of `HOME`, or what the user database says.
/// Without either the directories are those of the system.
pub fn of_user(config_home: Option<&[u8]>, home: Option<&[u8]>) -> Vec<Vec<u8>> {
    let mut directories: Vec<Vec<u8>> = Vec::new();
    if let Some(path) = config_home.filter(|path| !path.is_empty()) {
        directories.push([path.strip_suffix(b"/").unwrap_or(path), b"/dinit.d"].concat());
    }
    if let Some(home) = home.filter(|path| !path.is_empty()) {
        let path = [home, b"/.config/dinit.d"].concat();
        if !directories.contains(&path) {
            directories.push(path);
        }
    }
    if directories.is_empty() {
        return of_system();
    }
    directories.extend(shared_by_users());
    directories
}

/// Lists the service directories that all users share.
pub fn shared_by_users() -> Vec<Vec<u8>> {
    SHARED_BY_USERS.iter().map(|path| path.as_bytes().to_vec()).collect()
}
