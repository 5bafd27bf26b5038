#!/bin/sh
# The broker, which reads the variables of its first user and virtual host itself.
exec rabbitmq-server >&2
