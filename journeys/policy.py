"""What holds for every journey: what people may say yes or no to, how often they are written to, and when not."""

from datetime import time

from workflows.policy import Policy, QuietHours, Topic, policy

NIGHT = QuietHours(time(21), time(8))

LAID_DOWN = policy(
    Policy(
        topics=(
            Topic(
                "onboarding",
                title={
                    "en": "Getting started",
                    "de": "Erste Schritte",
                    "fr": "Premiers pas",
                    "es": "Primeros pasos",
                    "pt": "Primeiros passos",
                },
            ),
            Topic(
                "activation",
                title={
                    "en": "Ideas for your projects",
                    "de": "Ideen für deine Projekte",
                    "fr": "Des idées pour vos projets",
                    "es": "Ideas para tus proyectos",
                    "pt": "Ideias para os seus projetos",
                },
            ),
            Topic(
                "reengagement",
                title={
                    "en": "What you have missed",
                    "de": "Was du verpasst hast",
                    "fr": "Ce que vous avez manqué",
                    "es": "Lo que te has perdido",
                    "pt": "O que você perdeu",
                },
            ),
            Topic(
                "community",
                title={
                    "en": "The community",
                    "de": "Die Gemeinschaft",
                    "fr": "La communauté",
                    "es": "La comunidad",
                    "pt": "A comunidade",
                },
            ),
        ),
        quiet_hours={"sms": NIGHT, "push": NIGHT},
    )
)
