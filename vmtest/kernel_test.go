package vmtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// kernel is Debian's kernel, unpacked.
type kernel struct {
	release string // as in uname -r
	image   string
	modules string // …/lib/modules/<release>
}

const metaPackage = "linux-image-cloud-amd64"

// debianKernel gives the kernel from the cache, or downloads it. Any of the cache will do.
func debianKernel(t *testing.T) (kernel, error) {
	cache, err := cacheDir()
	if err != nil {
		return kernel{}, err
	}
	if k, err := unpacked(cache); err == nil {
		return k, nil
	}
	t.Log("downloading the kernel to", cache)
	pkg, err := kernelPackage()
	if err != nil {
		return kernel{}, err
	}
	tmp, err := os.MkdirTemp(cache, "new-")
	if err != nil {
		return kernel{}, err
	}
	defer os.RemoveAll(tmp)
	get := exec.Command("apt-get", "download", "-qq", pkg)
	get.Dir = tmp
	if out, err := get.CombinedOutput(); err != nil {
		return kernel{}, fmt.Errorf("apt-get download %s: %w: %s", pkg, err, out)
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(debs) != 1 {
		return kernel{}, fmt.Errorf("apt-get download %s gave %v: %w", pkg, debs, err)
	}
	if out, err := exec.Command("dpkg-deb", "-x", debs[0], filepath.Join(tmp, "kernel")).CombinedOutput(); err != nil {
		return kernel{}, fmt.Errorf("unpacking: %w: %s", err, out)
	}
	// In one step, so that nobody finds half of it.
	if err := os.Rename(filepath.Join(tmp, "kernel"), filepath.Join(cache, "kernel")); err != nil {
		return kernel{}, err
	}
	return unpacked(cache)
}

func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = "/var/tmp"
	}
	dir = filepath.Join(dir, "mudguard-vm")
	return dir, os.MkdirAll(dir, 0o755)
}

// kernelPackage gives the package that the meta package stands for now.
func kernelPackage() (string, error) {
	out, err := exec.Command("apt-cache", "depends", metaPackage).Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache depends %s: %w", metaPackage, err)
	}
	m := regexp.MustCompile(`Depends: (linux-image-\S+)`).FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s is not to be had (apt-get update?)", metaPackage)
	}
	return string(m[1]), nil
}

// unpacked finds the kernel in a folder.
func unpacked(cache string) (kernel, error) {
	found, err := filepath.Glob(filepath.Join(cache, "kernel", "boot", "vmlinuz-*"))
	if err != nil || len(found) == 0 {
		return kernel{}, errors.Join(err, os.ErrNotExist)
	}
	release := strings.TrimPrefix(filepath.Base(found[0]), "vmlinuz-")
	k := kernel{release: release, image: found[0]}
	for _, lib := range []string{"lib", "usr/lib"} {
		k.modules = filepath.Join(cache, "kernel", lib, "modules", release)
		if _, err = os.Stat(k.modules); err == nil {
			break
		}
	}
	return k, err
}
