"""The leaderboard as an HTML page: ``views`` collects its data, ``packs`` packs records, ``write`` draws."""
