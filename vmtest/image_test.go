package vmtest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// wanted are the folders of modules that the machine gets, below kernel/. What they depend on comes with them.
var wanted = regexp.MustCompile(`^kernel/(net/(bridge|netfilter|ipv[46]/netfilter|802|8021q|llc|packet)/|drivers/net/veth)`)

// buildImage makes the initramfs: the driver as init, the daemon, the programs that both use, and modules.
func buildImage(t *testing.T, k kernel, to string) error {
	root := t.TempDir()
	for _, b := range [][]string{
		{"build", "-o", filepath.Join(root, "usr/bin/mudguard"), "mudguard/cmd/mudguard"},
		{"test", "-c", "-o", filepath.Join(root, "init"), "mudguard/vmtest/guest"},
		{"test", "-c", "-o", filepath.Join(root, "usr/bin/kernel.test"), "mudguard/enforcer/kernel"},
	} {
		cmd := exec.CommandContext(t.Context(), "go", append(b[:1:1], append([]string{"-trimpath", "-ldflags", "-s -w"}, b[1:]...)...)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %v: %w: %s", b, err, out)
		}
	}
	if err := errors.Join(programs(root), modules(root, k), accounts(root)); err != nil {
		return err
	}
	return pack(root, to)
}

// programs copies programs with the libraries that they need.
func programs(root string) error {
	for _, p := range []struct{ name, as string }{
		{"busybox", "bin/busybox"}, {"busybox", "bin/sh"}, {"busybox", "usr/sbin/sysctl"}, {"kmod", "sbin/modprobe"}, {"ip", "usr/sbin/ip"}, {"bridge", "usr/sbin/bridge"}, {"nft", "usr/sbin/nft"}, {"dnsmasq", "usr/sbin/dnsmasq"},
	} {
		path, err := lookPath(p.name)
		if err != nil {
			return err
		}
		if err := copyFile(path, filepath.Join(root, p.as)); err != nil {
			return err
		}
		out, _ := exec.Command("ldd", path).Output() // fails for static ones
		for _, lib := range regexp.MustCompile(`(/\S+) \(0x`).FindAllSubmatch(out, -1) {
			if err := copyFile(string(lib[1]), filepath.Join(root, string(lib[1]))); err != nil {
				return err
			}
		}
	}
	return nil
}

// modules copies the modules and lets depmod say what they need, so that the machine loads them as a router does.
func modules(root string, k kernel) error {
	depmod, err := lookPath("depmod")
	if err != nil {
		return err
	}
	base := strings.TrimSuffix(strings.TrimSuffix(k.modules, "/lib/modules/"+k.release), "/usr")
	if out, err := exec.Command(depmod, "-b", base, k.release).CombinedOutput(); err != nil {
		return fmt.Errorf("depmod: %w: %s", err, out)
	}
	deps, err := os.ReadFile(filepath.Join(k.modules, "modules.dep"))
	if err != nil {
		return err
	}
	to := filepath.Join(root, "lib/modules", k.release)
	for line := range strings.Lines(string(deps)) {
		if !wanted.MatchString(line) {
			continue
		}
		for _, m := range strings.Fields(strings.Replace(line, ":", "", 1)) {
			if err := copyFile(filepath.Join(k.modules, m), filepath.Join(to, m)); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"modules.order", "modules.builtin", "modules.builtin.modinfo"} {
		if err := copyFile(filepath.Join(k.modules, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	if out, err := exec.Command(depmod, "-b", root, k.release).CombinedOutput(); err != nil {
		return fmt.Errorf("depmod: %w: %s", err, out)
	}
	return nil
}

// accounts are what dnsmasq looks up before it starts.
func accounts(root string) error {
	etc := filepath.Join(root, "etc")
	return errors.Join(os.MkdirAll(etc, 0o755),
		os.WriteFile(filepath.Join(etc, "passwd"), []byte("root:x:0:0:root:/:/bin/sh\n"), 0o644),
		os.WriteFile(filepath.Join(etc, "group"), []byte("root:x:0:\ndip:x:30:\n"), 0o644),
		os.WriteFile(filepath.Join(etc, "hosts"), []byte("127.0.0.1 localhost\n"), 0o644))
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

// pack writes a folder as a compressed archive in the one form that the kernel reads (newc of cpio).
func pack(root, to string) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return err
	}
	var errs error
	add := func(name string, mode uint32, dev [2]uint32, data []byte) {
		_, err := z.Write(entry(name, mode, dev, data))
		errs = errors.Join(errs, err)
	}
	add("dev", 0o40755, [2]uint32{}, nil)
	add("dev/console", 0o20600, [2]uint32{5, 1}, nil) // the kernel opens it before there is a /dev
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, _ := filepath.Rel(root, path) // below root
		if d.IsDir() {
			add(name, 0o40755, [2]uint32{}, nil)
			return nil
		}
		data, err := os.ReadFile(path)
		add(name, 0o100755, [2]uint32{}, data)
		return err
	})
	add("TRAILER!!!", 0, [2]uint32{}, nil)
	return errors.Join(errs, err, z.Close(), f.Close())
}

// entry is one file of the archive; name and data are padded to four bytes each.
func entry(name string, mode uint32, dev [2]uint32, data []byte) []byte {
	var b bytes.Buffer
	b.WriteString("070701")
	for _, v := range []uint32{0, mode, 0, 0, 1, 0, uint32(len(data)), 0, 0, dev[0], dev[1], uint32(len(name) + 1), 0} {
		fmt.Fprintf(&b, "%08X", v)
	}
	b.WriteString(name + "\x00")
	b.Write(make([]byte, -b.Len()&3))
	b.Write(data)
	b.Write(make([]byte, -b.Len()&3))
	return b.Bytes()
}
