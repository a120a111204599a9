"""What travels between the services: messages, events, service APIs and errors.

Nothing here touches the world; every other package may import it, it imports none of them.
"""
