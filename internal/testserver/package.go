package testserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// startPackage runs a server from the Debian archive. Where the last fetched version does not start, the one before it
// is used.
func startPackage(ctx context.Context, product *Product, say func(string, ...any)) (*Server, error) {
	if product.suite == "" {
		return nil, fmt.Errorf("the archive is not known to hold this release, but %s", product.releaseNames())
	}
	server := product.archived()
	folders, err := server.folders(ctx, say)
	if err != nil {
		return nil, err
	}
	var failures []error
	for i, folder := range folders {
		p, err := unpackedProgram(product, folder)
		if err == nil {
			var server *Server
			if server, err = startProgram(ctx, product, p, say); err == nil {
				return server, nil
			}
		}
		if i < len(folders)-1 {
			say("%s does not start, trying %s: %v", filepath.Base(folder), filepath.Base(folders[i+1]), err)
		}
		failures = append(failures, fmt.Errorf("%s: %w", filepath.Base(folder), err))
	}
	return nil, errors.Join(failures...)
}

func (p *Product) archived() archived {
	return archived{
		name: p.debian, suite: p.suite, install: []string{p.debian}, needs: p.debian + "$",
		prepare: func(_ context.Context, root, _ string) error {
			// The programs beside the server are large.
			return os.RemoveAll(filepath.Join(root, "usr/bin"))
		},
		check: func(_ context.Context, folder string) error {
			_, err := unpackedProgram(p, folder)
			return err
		},
	}
}

func unpackedProgram(product *Product, folder string) (program, error) {
	command, err := loader(folder)
	if err != nil {
		return program{}, err
	}
	executable := filepath.Join(folder, "usr/sbin", product.executable)
	p, err := newProgram(product, append(command, executable), executable)
	p.plugins = filepath.Join(folder, "usr/lib/mysql/plugin")
	return p, err
}
