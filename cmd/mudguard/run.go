package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"mudguard/configs"
	"mudguard/enforcer"
	"mudguard/enforcer/answers"
	"mudguard/enforcer/kernel"
	"mudguard/history"
	"mudguard/mud"
	"mudguard/mud/fetch"
	"mudguard/notify"
	"mudguard/web"
)

// runCmd is the daemon. SIGHUP rereads the configuration: the daemon then starts over with it, while the kernel goes on
// enforcing; a configuration with an error is reported and changes nothing.
func runCmd(args []string) int {
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	path := fs.String("config", "", "configuration `file`")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if *path == "" || fs.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "mudguard: usage: mudguard run --config FILE")
		return 2
	}
	cfg, err := configs.Load(*path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mudguard:", err)
		return 2
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // a router has less memory to spare than time
	}
	release, err := onlyOne()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mudguard:", err)
		return 1
	}
	defer release()
	confine(cfg, newLogger(cfg.Log))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	ears := newEars(ctx)
	for {
		next, err := runUntilReload(ctx, cfg, ears, hup, *path)
		if err != nil {
			fmt.Fprintln(os.Stderr, "mudguard:", err)
			return 1
		}
		if next == nil {
			return 0
		}
		cfg = *next
	}
}

// runUntilReload runs the daemon until it is told to stop (nil), or to go on with another configuration.
func runUntilReload(ctx context.Context, cfg configs.Config, ears *ears, hup <-chan os.Signal, path string) (*configs.Config, error) {
	log := newLogger(cfg.Log)
	slog.SetDefault(log) // for the parts that get no logger: refused peers of the socket
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- runDaemon(ctx, cfg, log, ears, nil) }()
	for {
		select {
		case err := <-done:
			return nil, err
		case <-hup:
			next, err := configs.Load(path)
			if err != nil {
				log.Error("configuration not reread, the old one stays", "err", err)
				ears.misread(err)
				continue
			}
			log.Info("configuration reread", "file", path)
			ears.detach(cancel)
			return &next, <-done
		}
	}
}

// onlyOne keeps a second daemon from the tables of the first. An abstract socket belongs to the network namespace, as the
// tables do, and goes with the process that holds it.
func onlyOne() (release func(), err error) {
	at := &net.UnixAddr{Name: "@mudguard/tables", Net: "unix"}
	l, err := net.ListenUnix("unix", at)
	switch {
	case err == nil:
		return func() { l.Close() }, nil
	case squatted(at):
		slog.Warn("a user without rights over the tables holds the name that keeps a second mudguard away; starting all the same", "name", at.Name)
		return func() {}, nil
	}
	return nil, fmt.Errorf("another mudguard works on the tables of this network namespace; stop it first (%w)", err)
}

// squatted says that somebody else than root and us holds an abstract socket: nobody without rights may keep us from
// enforcing.
func squatted(at *net.UnixAddr) bool {
	c, err := net.DialUnix("unix", nil, at)
	if err != nil {
		return errors.Is(err, syscall.ECONNREFUSED) // bound by somebody who does not listen, as we do
	}
	defer c.Close()
	peer, err := web.Peer(c)
	return err == nil && peer.Uid != 0 && int(peer.Uid) != os.Geteuid()
}

// daemon wires the parts: events of the network go to the engine, what it decides to the kernel.
type daemon struct {
	cfg      configs.Config
	log      *slog.Logger
	nft      *kernel.Nft
	rtnl     *kernel.Host
	features kernel.Features
	clock    *fetch.Clock
	engine   *enforcer.Engine
	names    *enforcer.Names
	fetcher  *profiles
	news     *notify.Notifier
	queue    *kernel.Queue
	nflog    *kernel.LogReader
	history  *history.Store // nil: there is none
	flows    tally
	auth     *web.Auth
	authErr  error // why it must not be asked

	ears     *ears
	mu       sync.Mutex
	lan      []enforcer.LANInterface
	here     map[netip.Addr]bool // this host's addresses
	missing  []string
	loadErr  error
	misread  error          // why the configuration was not reread
	problems map[string]int // by part
	web      string         // state of the web server
}

// runDaemon runs until ctx ends. ready, if not nil, is called once policies are in force; the LAN is
// heard a moment later (Source.State in the status).
func runDaemon(ctx context.Context, cfg configs.Config, log *slog.Logger, ears *ears, ready func(*enforcer.Engine)) error {
	d := &daemon{cfg: cfg, log: log, names: enforcer.NewNames(), ears: ears, problems: map[string]int{}}
	var err error
	if d.nft, err = kernel.Open(kernel.Options{}); err != nil {
		return err
	}
	defer d.nft.Close()
	if d.rtnl, err = kernel.OpenHost(kernel.Options{}); err != nil {
		return err
	}
	defer d.rtnl.Close()
	d.features = d.nft.Probe()
	if err := d.setUp(); err != nil {
		return err
	}
	ln, err := web.Listen(cfg.Socket)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	d.fetcher.start(ctx, func(u mud.URL, doc enforcer.Verified, err error) {
		_ = d.engine.Do(ctx, func(e *enforcer.Engine) { e.Fetched(u, doc, err) }) // fails only when we stop
	})
	g.Go(func() error { return d.fetcher.write(ctx) })
	defer d.fetcher.pool.Close()
	if err := d.engine.Start(); err != nil {
		log.Error("starting with what the kernel has", "err", err)
	}
	d.tasks(ctx, g, ln)
	if ready != nil {
		ready(d.engine)
	}
	err = g.Wait()
	if cfg.OnExit == configs.Remove {
		err = errors.Join(err, d.remove())
	}
	return err
}

func (d *daemon) setUp() error {
	var err error
	d.lan, d.missing = lanFacts(d.rtnl, d.cfg.LAN.Interfaces, d.features, nil)
	site, err := siteOf(d.cfg, d.features, d.lan)
	if err != nil {
		return err
	}
	d.clock = newClock(d.cfg.StateDir)
	head, parse := readers(d.cfg.Dialect)
	d.fetcher, err = newProfiles(fetch.Config{
		Clock:   d.clock,
		CAFiles: d.cfg.Fetch.CAFiles, PrivateHosts: d.cfg.Fetch.PrivateHosts, Timeout: d.cfg.Fetch.Timeout,
		AllowHosts: d.cfg.Fetch.AllowHosts, DenyHosts: d.cfg.Fetch.DenyHosts, MaxSize: d.cfg.Fetch.MaxSize, CacheDir: filepath.Join(d.cfg.StateDir, "profiles"),
		Policy: fetch.Policy(d.cfg.Signatures.Policy), SignerCAFiles: d.cfg.Signatures.CAFiles,
		Resolvers: d.askAt(), UserAgent: "mudguard/" + version,
		Language: language(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG"))), Refuse: d.onLAN, Head: head, Parse: parse,
	}, d.log)
	if err != nil {
		return err
	}
	d.auth, d.authErr = newAuth(d.cfg)
	files := store{d.cfg.StateDir}
	saved, err := files.load()
	if err != nil {
		d.loadErr = err
		d.log.Error("state not read", "err", err)
	}
	d.here = hostAddrs()
	d.configureNames(site)
	hostname, _ := os.Hostname() // "" names no gateway
	d.news = notify.New(d.cfg.Notify, notify.Gateway{Name: mud.Clean(hostname, 64), Version: version}, d.log)
	past := d.openHistory()
	d.engine = enforcer.New(engineConfig(d.cfg), site, saved, enforcer.Deps{
		Kernel: d.nft, Fetcher: d.fetcher, Save: files.save, Now: time.Now, Log: d.log, Names: d.names, Backoff: fetch.Backoff,
		Counts: d.nft.Counts, Record: d.record, Tell: d.news.Tell,
	})
	d.engine.Recall(past)
	return nil
}

// configureNames says what names of the Internet may not stand for: our networks, and this host, also by its address on the WAN.
func (d *daemon) configureNames(site enforcer.Site) {
	d.mu.Lock()
	here := d.here
	d.mu.Unlock()
	d.names.Configure(d.cfg.DNS.MinTTL, privateNames(d.cfg), func(a netip.Addr) bool { return here[a] || site.OnLAN(a) })
}

// tasks starts everything that runs until ctx ends.
func (d *daemon) tasks(ctx context.Context, g *errgroup.Group, ln net.Listener) {
	learner := &answers.Learner{Names: d.names, Learn: d.nft.Learn, Resolvers: d.resolvers, Now: time.Now, OnError: d.onError("dns")}
	g.Go(func() error { return d.engine.Run(ctx) })
	g.Go(func() error { return learner.Run(ctx) })
	d.mu.Lock()
	d.queue = &kernel.Queue{Num: d.cfg.DNS.Queue, Handler: learner.Held, OnError: d.onError("queue")}
	d.nflog = &kernel.LogReader{Group: d.cfg.Denials.NFLOGGroup, Handle: d.denied, OnError: d.onError("nflog")}
	d.mu.Unlock()
	background := func(f func()) { g.Go(func() error { f(); return nil }) }
	if d.features.Queue != kernel.QueueNone {
		background(func() { d.queue.Run(ctx) })
	}
	background(func() { d.nflog.Run(ctx) })
	background(func() { d.nft.Watch(ctx, nil, func() { d.repair(ctx) }, d.onError(nftEvents)) })
	background(func() { d.rtnl.WatchLinks(ctx, func() { d.refresh(ctx) }, d.onError(linkEvents)) })
	background(func() { d.rtnl.WatchNeighbours(ctx, d.neighbour, d.moved, d.onError(neighbourEvents)) })
	background(func() { d.nft.WatchFlows(ctx, nil, d.opened, d.onError(flowEvents)) })
	background(func() { d.news.Run(ctx) })
	g.Go(func() error { return d.audit(ctx) })
	g.Go(func() error { return d.keepTime(ctx) })
	d.ears.attach(ctx, d)
	api := web.Handler(web.Options{Engine: d.engine, Host: d.host, Judge: d.fetcher.bring, Auth: d.auth, History: d.past})
	g.Go(func() error { return web.Serve(ctx, ln, api) })
	if d.cfg.HTTP.Listen != "" {
		guarded := d.auth.Guard(api)
		g.Go(func() error {
			return d.serveWeb(ctx, func(ctx context.Context, ln net.Listener) error { return web.Serve(ctx, ln, guarded) })
		})
	}
}

// onError counts what went wrong in a part, for the status, and logs it the less often the more there is of it.
func (d *daemon) onError(part string) func(error) {
	return func(err error) {
		d.mu.Lock()
		d.problems[part]++
		n := d.problems[part]
		d.mu.Unlock()
		if n&(n-1) == 0 { // 1, 2, 4, 8 …
			d.log.Warn("problem", "part", part, "err", err, "times", n)
		}
	}
}

// Parts that may miss something, which status says.
const (
	nftEvents       = "nftables events"
	linkEvents      = "link events"
	neighbourEvents = "neighbour events"
	flowEvents      = "flow events"
)

func (d *daemon) denied(l enforcer.LogEvent) {
	d.engine.Post(func(e *enforcer.Engine) { e.Denied(l) })
}

func clockSet(e *enforcer.Engine) { e.ClockSet() }

// repair has our tables looked at. It waits for its turn: in a flood of other events it must not be dropped.
func (d *daemon) repair(ctx context.Context) {
	_ = d.engine.Do(ctx, func(e *enforcer.Engine) { e.Repair() }) // fails only when we stop
}

func (d *daemon) neighbour(n kernel.Neighbour) {
	if slices.Contains(d.cfg.LAN.Interfaces, n.Interface) {
		d.engine.Post(func(e *enforcer.Engine) { e.Neighbour(n.MAC, n.Interface, n.Addr, n.Stale) })
	}
}

func (d *daemon) moved(p kernel.Port) {
	d.engine.Post(func(e *enforcer.Engine) { e.HeardOn(p.MAC, p.Name) })
}

// audit looks each minute whether all is as it should be, also where no event told so (hardening.md R1).
func (d *daemon) audit(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		d.allNeighbours()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			d.refresh(ctx)
			d.repair(ctx)
			flows := d.flows.take()
			d.engine.Post(func(e *enforcer.Engine) { e.Opened(flows) })
		}
	}
}

func (d *daemon) allNeighbours() {
	list, err := d.rtnl.Neighbours()
	if err != nil {
		d.onError("neighbours")(err)
		return
	}
	for _, n := range list {
		d.neighbour(n)
	}
}

// refresh takes the LAN interfaces as they are now. It waits for the engine: unlike what hosts say, this is not said again.
func (d *daemon) refresh(ctx context.Context) {
	d.mu.Lock()
	lan, missing := lanFacts(d.rtnl, d.cfg.LAN.Interfaces, d.features, d.lan)
	same := slices.EqualFunc(lan, d.lan, func(a, b enforcer.LANInterface) bool {
		return a.Name == b.Name && a.Bridge == b.Bridge && a.Tagged == b.Tagged && slices.Equal(a.Prefixes, b.Prefixes)
	})
	d.lan, d.missing = lan, missing
	features, here := d.features, hostAddrs()
	stays := maps.Equal(here, d.here)
	d.here = here
	d.mu.Unlock()
	if same && stays {
		return
	}
	site, err := siteOf(d.cfg, features, lan)
	if err != nil {
		d.log.Error("site", "err", err) // was checked at the start
		return
	}
	d.configureNames(site)
	if same {
		return
	}
	_ = d.engine.Do(ctx, func(e *enforcer.Engine) { e.SetSite(engineConfig(d.cfg), site) }) // fails only when we stop
}

// remove takes our tables away.
func (d *daemon) remove() error {
	have, err := d.nft.Ruleset()
	if err != nil {
		return err
	}
	return d.nft.Apply(enforcer.Diff(have, enforcer.Ruleset{}))
}
