"""Test doubles and builders; product code never imports them."""
