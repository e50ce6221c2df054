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
	server := archived{name: product.debian, suite: product.suite, check: func(folder string) error {
		// Programs and manuals are half of what was unpacked, and the server uses none.
		for _, unused := range []string{"usr/bin", "usr/share/doc", "usr/share/man", "usr/share/locale"} {
			if err := os.RemoveAll(filepath.Join(folder, unused)); err != nil {
				return err
			}
		}
		_, err := unpackedProgram(product, folder)
		return err
	}}
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
