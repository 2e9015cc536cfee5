package acceptance

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// hookLab is a gateway whose daemon hears nothing itself, so that all it knows comes from a DHCP server's hook.
func hookLab(t *testing.T, name string) (l *lab, script string) {
	l = newLab(t, true)
	l.config["lan"] = map[string]any{"interfaces": []string{"none0"}}
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(l.dir, name)
	if err := os.Symlink(bin, link); err != nil {
		t.Fatal(err)
	}
	// The socket is at its own path; elsewhere the link itself is the script.
	return l, l.file(name+".sh", "#!/bin/sh\nMUDGUARD_SOCKET="+filepath.Join(l.dir, "s")+" exec "+link+` "$@" 2>>`+link+".log\n", 0o755)
}

// told waits until a device has a URL and as many addresses, from that source.
func (l *lab) told(d *device, url, source string, addresses int) {
	l.Helper()
	await(l.T, "the hook's news", patience, func() string {
		var list []struct {
			MAC, URL, Source string
			Addresses        []string
		}
		if err := json.Unmarshal([]byte(l.order("devices", "--json")), &list); err != nil {
			l.fatal("devices --json: %v", err)
		}
		for _, v := range list {
			if v.MAC == d.mac && v.URL == url && v.Source == source && len(v.Addresses) == addresses {
				return ""
			}
		}
		logs, _ := filepath.Glob(filepath.Join(l.dir, "*-hook.log"))
		for _, name := range logs {
			raw, _ := os.ReadFile(name)
			return l.order("devices") + string(raw)
		}
		return l.order("devices")
	})
}

// R8520-10.2-a, R8520-10.2-c, T-03, T-05: dnsmasq's dhcp-script tells of leases, also after a restart, when it has no URLs.
func TestDnsmasqHook(t *testing.T) {
	t.Parallel()
	l, script := hookLab(t, "dnsmasq-hook")
	lamp, cam := l.device("lamp"), l.device("cam")
	l.start()
	server := l.dnsmasq("--dhcp-script=" + script)
	l.udhcpc(lamp, "https://maker.example/lamp")
	l.told(lamp, "https://maker.example/lamp", "dnsmasq", 1)
	l.udhcpc(cam, "https://maker.example/cam?v=1")
	l.told(cam, "https://maker.example/cam?v", "dnsmasq", 1) // T-03: cut at the =

	server.signal(t, syscall.SIGTERM)
	<-server.done
	server = l.dnsmasq("--dhcp-script=" + script)            // tells of both as old, with DNSMASQ_DATA_MISSING
	lamp.client.signal(t, syscall.SIGUSR2)                   // release
	l.told(lamp, "https://maker.example/lamp", "dnsmasq", 0) // the address goes, the URL stays
	l.told(cam, "https://maker.example/cam?v", "dnsmasq", 1)
	if log := server.log.tail(); strings.Contains(log, "script process") {
		t.Errorf("dnsmasq complains about its script: %s", log)
	}
}

// R8520-10.2-c: Kea tells of leases by its run_script library, where Kea is installed; its documented environment is tested in
// cmd/mudguard anyway.
func TestKeaHook(t *testing.T) {
	library := "/usr/lib/x86_64-linux-gnu/kea/hooks/libdhcp_run_script.so"
	if _, err := exec.LookPath("kea-dhcp4"); err != nil {
		t.Logf("not tried with Kea itself (apt-get install kea-dhcp4-server): %v", err)
		return
	}
	t.Parallel()
	l, script := hookLab(t, "kea-hook")
	lamp := l.device("lamp")
	l.start()
	conf := l.file("kea.json", `{"Dhcp4": {"interfaces-config": {"interfaces": ["br-lan"], "dhcp-socket-type": "raw"},
		"lease-database": {"type": "memfile", "persist": false}, "valid-lifetime": 3600,
		"subnet4": [{"id": 1, "subnet": "192.168.8.0/24", "pools": [{"pool": "192.168.8.100 - 192.168.8.200"}],
			"option-data": [{"name": "routers", "data": "`+gateway+`"}]}],
		"hooks-libraries": [{"library": "`+library+`", "parameters": {"name": "`+script+`", "sync": false}}],
		"loggers": [{"name": "kea-dhcp4", "output_options": [{"output": "stdout"}], "severity": "INFO"}]}}`, 0o644)
	server := launch(l.T, l.gw, "env", "KEA_PIDFILE_DIR="+l.dir, "KEA_LOCKFILE_DIR="+l.dir, "kea-dhcp4", "-c", conf)
	await(t, "Kea runs", patience, func() string {
		if strings.Contains(server.log.tail(), "DHCP4_STARTED") {
			return ""
		}
		return server.log.tail()
	})
	l.order("assign", lamp.mac, "https://maker.example/lamp")
	l.udhcpc(lamp, "https://maker.example/other")
	l.told(lamp, "https://maker.example/lamp", "admin", 1) // Kea's hook has no options, so no MUD URL
	lamp.client.signal(t, syscall.SIGUSR2)
	l.told(lamp, "https://maker.example/lamp", "admin", 0)
}
