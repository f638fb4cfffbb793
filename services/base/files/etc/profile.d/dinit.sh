# The runtime directory of a session, where the user's own dinit listens (/usr/lib/dinit/user-session).
if [ -z "${XDG_RUNTIME_DIR-}" ] && [ -O "/run/user/$(id -u)" ]; then
    export XDG_RUNTIME_DIR="/run/user/$(id -u)"
fi
