//! The system call filter that scripts run under.
//!
//! Three verdicts. Calls that cannot work in a namespace with one user, or that only cost time, are answered with
//! success at once. Calls that name owners, modes, devices or privileged attributes are put to the supervisor, which
//! remembers what was asked. All others happen. Calls in the wrong dialect (32 bit, x32) end the process: their
//! numbers mean something else.

use dinit_sys::seccomp::Instruction;

/// The calls that change identity or force data to disk: success, and nothing happens.
const GRANTED: &[libc::c_long] = &[
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync,
    libc::SYS_syncfs,
    libc::SYS_sync_file_range,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
];

/// The calls whose effect is recorded rather than had.
#[cfg(target_arch = "x86_64")]
const RECORDED: &[libc::c_long] = &[
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_chmod,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
];
#[cfg(target_arch = "aarch64")]
const RECORDED: &[libc::c_long] = &[
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
];

/// The calls that make nodes, each with the argument that holds the kind of node.
#[cfg(target_arch = "x86_64")]
const NODE_MAKING: &[(libc::c_long, u32)] = &[(libc::SYS_mknod, 1), (libc::SYS_mknodat, 2)];
#[cfg(target_arch = "aarch64")]
const NODE_MAKING: &[(libc::c_long, u32)] = &[(libc::SYS_mknodat, 2)];

/// The calls that tell who owns a file: many programs give a file that they replace the owner it had.
#[cfg(target_arch = "x86_64")]
const TELLING: &[libc::c_long] =
    &[libc::SYS_stat, libc::SYS_lstat, libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_statx];
#[cfg(target_arch = "aarch64")]
const TELLING: &[libc::c_long] = &[libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_statx];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// On x86-64, numbers from here on are the x32 dialect.
const FIRST_X32_CALL: u32 = 0x4000_0000;

/// Writes the filter.
pub(super) fn program() -> Vec<Instruction> {
    let mut program = vec![
        load(4),
        jump(EQUAL, ARCHITECTURE, 1, 0),
        verdict(libc::SECCOMP_RET_KILL_PROCESS),
        load(0),
        jump(GREATER_OR_EQUAL, FIRST_X32_CALL, 0, 1),
        verdict(libc::SECCOMP_RET_KILL_PROCESS),
    ];
    for call in GRANTED {
        program.extend([jump(EQUAL, *call as u32, 0, 1), verdict(libc::SECCOMP_RET_ERRNO)]);
    }
    for call in RECORDED.iter().chain(TELLING) {
        program.extend([jump(EQUAL, *call as u32, 0, 1), verdict(libc::SECCOMP_RET_USER_NOTIF)]);
    }
    for (call, argument) in NODE_MAKING {
        program.extend([
            jump(EQUAL, *call as u32, 0, 6),
            load(16 + argument * 8),
            Instruction { code: AND, if_true: 0, if_false: 0, operand: libc::S_IFMT },
            jump(EQUAL, libc::S_IFCHR, 1, 0),
            jump(EQUAL, libc::S_IFBLK, 0, 1),
            verdict(libc::SECCOMP_RET_USER_NOTIF),
            verdict(libc::SECCOMP_RET_ALLOW),
        ]);
    }
    program.push(verdict(libc::SECCOMP_RET_ALLOW));
    program
}

const EQUAL: u16 = 0x15;
const GREATER_OR_EQUAL: u16 = 0x35;
const AND: u16 = 0x54;

/// Loads a word of the call's description: its number at 0, the architecture at 4, arguments from 16 on.
const fn load(offset: u32) -> Instruction {
    Instruction { code: 0x20, if_true: 0, if_false: 0, operand: offset }
}

const fn jump(code: u16, operand: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { code, if_true, if_false, operand }
}

const fn verdict(operand: u32) -> Instruction {
    Instruction { code: 0x06, if_true: 0, if_false: 0, operand }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a filter over one call, as the kernel would.
    fn judge(architecture: u32, call: u32, arguments: [u64; 6]) -> u32 {
        let program = program();
        let (mut at, mut accumulator) = (0, 0u32);
        loop {
            let instruction = program[at];
            at += 1;
            let jump =
                |condition| usize::from(if condition { instruction.if_true } else { instruction.if_false });
            match instruction.code {
                0x20 => {
                    accumulator = match instruction.operand {
                        0 => call,
                        4 => architecture,
                        offset => arguments[(offset as usize - 16) / 8] as u32,
                    }
                }
                AND => accumulator &= instruction.operand,
                EQUAL => at += jump(accumulator == instruction.operand),
                GREATER_OR_EQUAL => at += jump(accumulator >= instruction.operand),
                0x06 => return instruction.operand,
                code => panic!("unknown instruction {code:#x}"),
            }
        }
    }

    fn judge_here(call: libc::c_long, arguments: [u64; 6]) -> u32 {
        judge(ARCHITECTURE, call as u32, arguments)
    }

    #[test]
    fn calls_in_another_dialect_end_the_process() {
        let i386 = 0x4000_0003;
        assert_eq!(judge(i386, 0, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
        assert_eq!(judge(ARCHITECTURE, FIRST_X32_CALL + 92, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
    }

    #[test]
    fn syncing_succeeds_without_being_done_and_owners_are_put_to_the_supervisor() {
        assert_eq!(judge_here(libc::SYS_fsync, [0; 6]), libc::SECCOMP_RET_ERRNO);
        assert_eq!(judge_here(libc::SYS_setgroups, [0; 6]), libc::SECCOMP_RET_ERRNO);
        assert_eq!(judge_here(libc::SYS_fchownat, [0; 6]), libc::SECCOMP_RET_USER_NOTIF);
        assert_eq!(judge_here(libc::SYS_newfstatat, [0; 6]), libc::SECCOMP_RET_USER_NOTIF);
        assert_eq!(judge_here(libc::SYS_openat, [0; 6]), libc::SECCOMP_RET_ALLOW);
    }

    #[test]
    fn making_a_pipe_is_allowed_and_making_a_device_is_put_to_the_supervisor() {
        let node = |kind: u32| [0, 0, u64::from(kind | 0o600), 0, 0, 0];
        assert_eq!(judge_here(libc::SYS_mknodat, node(libc::S_IFIFO)), libc::SECCOMP_RET_ALLOW);
        assert_eq!(judge_here(libc::SYS_mknodat, node(libc::S_IFREG)), libc::SECCOMP_RET_ALLOW);
        for kind in [libc::S_IFCHR, libc::S_IFBLK] {
            assert_eq!(judge_here(libc::SYS_mknodat, node(kind)), libc::SECCOMP_RET_USER_NOTIF);
        }
    }
}
