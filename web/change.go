package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"mudguard/enforcer"
)

// changeTime bounds the wait for the kernel.
const changeTime = 10 * time.Second

// change runs f in the engine's loop, and returns when kernel and disk have what f asked for, or with the error why not.
func (a *api) change(r *http.Request, f func(*enforcer.Engine) error) error {
	ctx, cancel := context.WithTimeout(r.Context(), changeTime)
	defer cancel()
	err := a.Engine.Change(ctx, f)
	var refused *failure
	switch {
	case err == nil || errors.As(err, &refused):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fail(http.StatusServiceUnavailable, "noted, but the engine did not confirm it in time; see mudguard status")
	}
	return fail(http.StatusServiceUnavailable, "noted, but not all of it could be done; it is tried again: %v", err)
}
