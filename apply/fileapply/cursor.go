package fileapply

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
)

// suffix makes the name of the cursor's file.
const suffix = ".rejot-cursor"

// formVersion is the form of the cursor's file that is written and read.
const formVersion = 1

// A state is what the cursor's file says: the lines up to Length are those up to Cursor.
type state struct {
	length int64
	cursor rejot.Cursor
}

// A form is a state as it is written.
type form struct {
	Version     int     `json:"version"`
	Length      int64   `json:"length"`
	Consumer    string  `json:"consumer"`
	Source      string  `json:"source"`
	Incarnation string  `json:"incarnation"`
	Position    string  `json:"position"` // empty: no batch is applied yet
	Contract    string  `json:"contract"`
	Queries     string  `json:"queries"`
	Backfill    partial `json:"backfill"`
}

// A partial is how far a backfill has come.
type partial struct {
	Done     bool            `json:"done"`
	After    json.RawMessage `json:"after"`
	View     int             `json:"view"`
	Rows     int64           `json:"rows"`
	Estimate int64           `json:"estimate"`
}

// encode gives the bytes of a cursor's file.
func (s state) encode() ([]byte, error) {
	c := s.cursor
	after, err := apply.EncodeKey(c.Backfill.After)
	if err != nil {
		return nil, err
	}
	f := form{
		Version: formVersion, Length: s.length, Consumer: c.Consumer, Source: c.Source, Incarnation: string(c.Position.Incarnation),
		Contract: c.Contract, Queries: c.Queries,
		Backfill: partial{Done: c.Backfill.Done, After: after, View: c.Backfill.View, Rows: c.Backfill.Rows, Estimate: c.Backfill.Estimate},
	}
	if !c.Position.IsZero() {
		f.Position = c.Position.String()
	}
	data, err := json.MarshalIndent(f, "", "  ")
	return append(data, '\n'), err
}

// readState reads a cursor's file. found is false where there is none.
func readState(path string) (s state, found bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, failed("read the cursor", err)
	}
	var f form
	if err := json.Unmarshal(data, &f); err != nil || f.Version != formVersion || f.Length < 0 {
		return s, true, damaged(path, "it is no cursor of this program")
	}
	s = state{length: f.Length, cursor: rejot.Cursor{
		Consumer: f.Consumer, Source: f.Source, Contract: f.Contract, Queries: f.Queries,
		Backfill: rejot.Backfill{Done: f.Backfill.Done, View: f.Backfill.View, Rows: f.Backfill.Rows, Estimate: f.Backfill.Estimate},
	}}
	if f.Position != "" {
		if s.cursor.Position, err = rejot.ParsePosition(rejot.Incarnation(f.Incarnation), f.Position); err != nil {
			return s, true, damaged(path, err.Error())
		}
	}
	if s.cursor.Backfill.After, err = apply.DecodeKey(f.Backfill.After); err != nil {
		return s, true, damaged(path, "its last key is none")
	}
	return s, true, nil
}

func damaged(path, why string) error {
	err := rejot.Errorf(rejot.Corrupt, "%s cannot be read: %s", path, why)
	return rejot.WithMend(err, "rm %s, and the file that it belongs to, to begin with a backfill", path)
}

// failed is an error of the file system, which may be gone when it is tried again: a full disk, for one.
func failed(what string, err error) error {
	code := rejot.Transient
	if errors.Is(err, fs.ErrPermission) {
		code = rejot.Denied
	}
	return rejot.Errorf(code, "%s: %w", what, err)
}

// replace puts a state where path is, so that a crash leaves the old one or the new one. step is called
// before each thing that a crash may come before.
func replace(path string, s state, mode fs.FileMode, step func(string) error) (err error) {
	data, err := s.encode()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return failed("write the cursor", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error is the one to tell; after the rename, there is no such file
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return failed("write the cursor", err)
	}
	if err := step("cursor.replace"); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return failed("write the cursor", err)
	}
	if err := step("cursor.sync"); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return failed("open the folder", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return failed(fmt.Sprintf("sync %s", path), err)
	}
	return nil
}
