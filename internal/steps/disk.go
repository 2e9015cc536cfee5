//go:build linux && amd64

package steps

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Disk notes what a program does to files, and tells what a power cut can leave of it: what was written counts only once the file
// was synced, and the making, renaming and deleting of names only once their directory was; until then any part of it may be
// there. Names of one directory change in order.
type Disk struct {
	Dir string // what is outside of it is not noted
	ops []op
}

type op struct {
	kind     string // mark, create, mkdir, write, fsync, rename, link, unlink
	name, to string
	data     []byte
	truncate bool
}

// See notes a call. A line "saved" on its standard output says that what came before must stay.
func (d *Disk) See(c *Call) {
	if !c.Done || c.Ret < 0 {
		return
	}
	o := op{}
	switch c.Nr {
	case unix.SYS_OPENAT:
		if c.Args[2]&unix.O_CREAT == 0 {
			return
		}
		o = op{kind: "create", name: c.Text(c.Args[1]), truncate: c.Args[2]&unix.O_TRUNC != 0}
	case unix.SYS_MKDIRAT:
		o = op{kind: "mkdir", name: c.Text(c.Args[1])}
	case unix.SYS_WRITE:
		o = op{kind: "write", name: c.File(c.Args[0]), data: c.Read(c.Args[1], int(c.Ret))}
		if c.Args[0] == 1 {
			d.ops = append(d.ops, op{kind: "mark", data: o.data})
			return
		}
	case unix.SYS_FSYNC:
		o = op{kind: "fsync", name: c.File(c.Args[0])}
	case unix.SYS_RENAMEAT:
		o = op{kind: "rename", name: c.Text(c.Args[1]), to: c.Text(c.Args[3])}
	case unix.SYS_LINKAT:
		o = op{kind: "link", name: c.Text(c.Args[1]), to: c.Text(c.Args[3])}
	case unix.SYS_UNLINKAT:
		o = op{kind: "unlink", name: c.Text(c.Args[1])}
	default:
		return
	}
	if strings.HasPrefix(o.name, d.Dir+"/") || o.name == d.Dir || o.kind == "fsync" && o.name == filepath.Dir(d.Dir) {
		d.ops = append(d.ops, o)
	}
}

// node is a file or a directory.
type node struct {
	isDir        bool
	synced, data []byte
	names, disk  map[string]*node // of a directory: as the program sees it, and as it is on the disk for sure
	pending      []change         // what came since
}

// change of a directory; to is nil where the name goes.
type change []struct {
	name string
	to   *node
}

func newDir() *node {
	return &node{isDir: true, names: map[string]*node{}, disk: map[string]*node{}}
}

// Cut is what a power cut left.
type Cut struct {
	When  string // after what
	Saved int    // how often the program had said so
	Files map[string][]byte
	Dirs  []string
}

// Cuts draws so many different fates for a cut after each step, and shows them to see. It gives their number.
func (d *Disk) Cuts(draws int, seed uint64, see func(Cut)) int {
	r := rand.New(rand.NewPCG(seed, 0))
	root, marks, n := newDir(), 0, 0
	for i, o := range d.ops {
		if o.kind == "mark" {
			marks += strings.Count(string(o.data), "saved\n")
		} else {
			root.do(d.rel(o.name), d.rel(o.to), o)
		}
		for range draws {
			c := Cut{When: fmt.Sprintf("%d (%s %s %s)", i, o.kind, o.name, o.to), Saved: marks, Files: map[string][]byte{}}
			root.fate(r, "", &c)
			see(c)
			n++
		}
	}
	return n
}

func (d *Disk) rel(name string) string {
	if name == "" {
		return ""
	}
	rel, _ := filepath.Rel(filepath.Dir(d.Dir), name) // both are absolute
	return rel
}

// at gives the directory of a name, and its last part. What is not known was there before.
func (n *node) at(name string) (*node, string) {
	dir, last := filepath.Split(name)
	at := n
	for part := range strings.SplitSeq(strings.Trim(dir, "/"), "/") {
		if part == "" {
			continue
		}
		if at.names[part] == nil {
			there := newDir()
			at.names[part], at.disk[part] = there, there
		}
		at = at.names[part]
	}
	return at, last
}

// do carries out what the program did.
func (n *node) do(name, to string, o op) {
	dir, last := n.at(name)
	file := dir.names[last]
	if name == "." {
		file = n
	}
	switch o.kind {
	case "create":
		if file == nil {
			dir.change(change{{last, &node{}}})
		} else if o.truncate {
			file.data = nil
		}
	case "mkdir":
		dir.change(change{{last, newDir()}})
	case "write":
		file.data = append(slices.Clone(file.data), o.data...)
	case "fsync":
		file.sync()
	case "unlink":
		dir.change(change{{last, nil}})
	case "link", "rename":
		other, new := n.at(to)
		if other != dir {
			panic("names of two directories in one step: the model has none")
		}
		c := change{{new, file}}
		if o.kind == "rename" {
			c = append(c, change{{last, nil}}...)
		}
		dir.change(c)
	}
}

func (n *node) change(c change) {
	c.apply(n.names)
	n.pending = append(n.pending, c)
}

func (c change) apply(names map[string]*node) {
	for _, one := range c {
		if one.to == nil {
			delete(names, one.name)
		} else {
			names[one.name] = one.to
		}
	}
}

func (n *node) sync() {
	n.synced, n.pending = n.data, nil
	if n.isDir {
		n.disk = maps.Clone(n.names)
	}
}

// fate draws what is left of a directory.
func (n *node) fate(r *rand.Rand, path string, c *Cut) {
	left := maps.Clone(n.disk)
	for _, p := range n.pending[:r.IntN(len(n.pending)+1)] {
		p.apply(left)
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		at, sub := filepath.Join(path, name), left[name]
		if sub.isDir {
			c.Dirs = append(c.Dirs, at)
			sub.fate(r, at, c)
		} else {
			c.Files[at] = sub.content(r)
		}
	}
}

// content draws what is left of a file.
func (n *node) content(r *rand.Rand) []byte {
	if string(n.synced) == string(n.data) {
		return n.data
	}
	switch cut := r.IntN(len(n.data) + 1); r.IntN(5) {
	case 0:
		return n.synced
	case 1:
		return nil
	case 2:
		return n.data[:cut]
	case 3: // the length came first
		return append(slices.Clone(n.data[:cut]), make([]byte, len(n.data)-cut)...)
	default:
		return n.data
	}
}

// Write puts what is left into a directory.
func (c Cut) Write(dir string) error {
	for _, name := range c.Dirs {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	for name, data := range c.Files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Record runs a program, with what it needs besides in its environment, and notes what it does in d.Dir. It must end well.
func (d *Disk) Record(program string, args []string, env ...string) error {
	out, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	attr := syscall.ProcAttr{Env: append(os.Environ(), env...), Files: []uintptr{out.Fd(), out.Fd(), 2},
		Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true}}
	end, err := Run(func() (int, error) { return syscall.ForkExec(program, append([]string{program}, args...), &attr) }, d.See)
	if err == nil && (!end.Exited() || end.ExitStatus() != 0) {
		err = fmt.Errorf("%s ended with %v", program, end)
	}
	return err
}
