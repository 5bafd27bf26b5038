#!/bin/sh
# What is printed on standard error becomes the error of the execution, so it is written for whoever reads that.
echo 'this example always fails: there is nothing to repair' >&2
exit 3
