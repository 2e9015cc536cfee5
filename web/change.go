package web

import (
	"context"
	"net/http"
	"time"

	"mudguard/enforcer"
)

// changeTime bounds the wait for the kernel.
const changeTime = 10 * time.Second

// change runs f in the engine's loop, and returns when the kernel has what f asked for, or with the error why not.
func (a *api) change(r *http.Request, f func(*enforcer.Engine) error) error {
	ctx, cancel := context.WithTimeout(r.Context(), changeTime)
	defer cancel()
	var refused error
	synced := make(chan error, 1)
	err := a.engine.Do(ctx, func(e *enforcer.Engine) {
		if refused = f(e); refused == nil {
			onSync(e, synced)
		}
	})
	switch {
	case err != nil:
		return fail(http.StatusServiceUnavailable, "the engine did not answer: %v", err)
	case refused != nil:
		return refused
	}
	select {
	case err := <-synced:
		if err != nil {
			return fail(http.StatusServiceUnavailable, "noted, but the kernel refused the change, so its last ruleset stays in force; it is tried again: %v", err)
		}
		return nil
	case <-ctx.Done():
		return fail(http.StatusServiceUnavailable, "noted, but the kernel did not confirm it in time; see mudguard status")
	}
}

// onSync sends to synced, once, what the kernel said to the engine's next sync.
//
// A second Do would not tell: the engine drains what waits before it syncs, so both may be answered ahead of the change of
// the kernel. But sync first applies and then saves, and every order marks the state as to be saved; so the call of Save
// is the moment. Everything here runs in the loop, and hooks of several orders in one batch nest and undo themselves in
// turn.
func onSync(e *enforcer.Engine, synced chan<- error) {
	kernel, save := e.Kernel, e.Save
	w := &watched{Kernel: kernel}
	e.Kernel = w
	e.Save = func(s enforcer.State) error {
		e.Kernel, e.Save = kernel, save
		err := save(s)
		synced <- w.err
		return err
	}
}

// watched remembers what the kernel said to the last change.
type watched struct {
	enforcer.Kernel
	err error
}

func (w *watched) Apply(d enforcer.Delta) error {
	w.err = w.Kernel.Apply(d)
	return w.err
}
