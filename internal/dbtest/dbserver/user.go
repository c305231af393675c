package dbserver

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// A runAs is the user that a server runs as; nil is the present one.
type runAs struct{ uid, gid uint32 }

// findUser returns nil unless we are root, which no database server wants to be.
func findUser(e Engine) (*runAs, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	names := []string{"postgres", "nobody"}
	if e == MariaDB {
		names[0] = "mysql"
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, err
		}
		return &runAs{uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, errors.New("root cannot start a database server, and there is no user nobody to start it as")
}

func (r *runAs) attr() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us; we then end the server
	if r != nil {
		attr.Credential = &syscall.Credential{Uid: r.uid, Gid: r.gid}
	}
	return attr
}

func (r *runAs) own(path string) error {
	if r == nil {
		return nil
	}
	return os.Chown(path, int(r.uid), int(r.gid))
}
