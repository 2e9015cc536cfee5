package acceptance

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mudguard/web/browsertest"
)

// tools are the programs that play the other side.
var tools = []string{"ip", "nft", "sysctl", "dnsmasq", "udhcpc", "dhclient", "openssl", "conntrack", "go"}

// scratch holds what all tests share: the program and the certificates. Short, since socket paths are.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "mga"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	sweep()
	code := browsertest.Run(m)
	os.RemoveAll(scratch)
	os.Exit(code)
}

// sweep removes the namespaces of runs that were killed: their names begin with the process that made them.
func sweep() {
	names, _ := os.ReadDir("/run/netns") // absent where nobody made any
	for _, n := range names {
		var pid, number int
		if _, err := fmt.Sscanf(n.Name(), "mga%d-%d-", &pid, &number); err != nil {
			continue
		}
		if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
			continue
		}
		pids, _ := exec.Command("ip", "netns", "pids", n.Name()).Output()
		for _, p := range strings.Fields(string(pids)) {
			if child, err := strconv.Atoi(p); err == nil {
				_ = syscall.Kill(child, syscall.SIGKILL)
			}
		}
		_ = exec.Command("ip", "netns", "del", n.Name()).Run()
		_ = os.RemoveAll("/etc/netns/" + n.Name())
	}
}

// need skips where the tests cannot run; in CI that is a failure.
func need(t *testing.T) {
	t.Helper()
	missing := []string{}
	if os.Geteuid() != 0 {
		missing = append(missing, "root, to make network namespaces")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, "the program "+tool)
		}
	}
	switch {
	case len(missing) == 0:
	case os.Getenv("CI") == "true":
		t.Fatalf("needs %s, and must not be skipped in CI", strings.Join(missing, ", "))
	default:
		t.Skipf("needs %s", strings.Join(missing, ", "))
	}
}

// program builds mudguard once.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "mudguard")
	cmd := exec.Command("go", "build", "-o", path, "mudguard/cmd/mudguard")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build does
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building mudguard: %w\n%s", err, out)
	}
	return path, nil
})

// shell runs a script, and stops the test where a command in it fails.
func shell(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("sh", "-euc", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v in:\n%s\n%s", err, script, out)
	}
	return string(out)
}

// patience bounds every wait for something that must happen; a loaded machine may take its time.
const patience = 20 * time.Second

// await asks again and again until check gives "", which is why it is not so yet.
func await(t *testing.T, what string, limit time.Duration, check func() string) {
	t.Helper()
	if why := awaited(limit, check); why != "" {
		t.Fatalf("%s did not happen within %v: %s", what, limit, why)
	}
}

func awaited(limit time.Duration, check func() string) string {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(limit)
	for {
		why := check()
		if why == "" || time.Now().After(end) {
			return why
		}
		<-tick.C
	}
}

// process is a program that runs beside the test.
type process struct {
	name string
	cmd  *exec.Cmd
	log  *logBuffer
	done chan struct{}
}

// launch starts a program in a namespace. It is killed when the test ends.
func launch(t *testing.T, in *space, name string, args ...string) *process {
	t.Helper()
	p := &process{name: name, log: &logBuffer{}, done: make(chan struct{})}
	p.cmd = exec.Command("ip", append([]string{"netns", "exec", in.name, name}, args...)...) // becomes the program itself
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended is asked of ProcessState
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the program at once and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// logBuffer keeps what a program says.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// tail is the last part of it, for messages.
func (b *logBuffer) tail() string {
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}
